import { lazy, memo, Suspense, useMemo } from "react";

import { splitBlocks, type Block } from "../stream/blocks";
import { hasMath } from "../stream/math";
import { CodeBlock } from "./CodeBlock";
import styles from "./Markdown.module.css";

/** Not needed before the first answer, but then at once: asked for as soon as the page stands. */
const importProse = () => import("./Prose");
setTimeout(() => void importProse());

const Prose = lazy(importProse);
const MathProse = lazy(() => import("./MathProse"));

/** A model's words as Markdown, block by block: while they grow, only the last block is read again. */
export const Markdown = memo(function Markdown({ text, writing }: { text: string; writing: boolean }) {
  const blocks = useMemo(() => splitBlocks(text), [text]);
  return (
    <div className={styles.prose}>
      {blocks.map((block, index) => (
        <OneBlock key={index} {...block} writing={writing && index === blocks.length - 1} />
      ))}
    </div>
  );
});

type Props = Block & { writing: boolean };

const OneBlock = memo(function OneBlock(props: Props) {
  const { kind, text } = props;
  if (kind === "code") return <CodeBlock text={text} language={props.language} writing={props.writing} />;
  const plain = (
    <Suspense fallback={<p className={styles.plain}>{text}</p>}>
      <Prose text={text} />
    </Suspense>
  );
  if (!hasMath(text)) return plain;
  return (
    <Suspense fallback={plain}>
      <MathProse text={text} />
    </Suspense>
  );
});
