import { memo, useRef, type ComponentProps } from "react";
import { useTranslation } from "react-i18next";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

import { CopyButton } from "@/ui/CopyButton";

import styles from "./Markdown.module.css";

const PLUGINS = [remarkGfm];

/** A model's words as Markdown. Raw HTML stays text; images are links, for a picture can carry words away. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className={styles.prose}>
      <ReactMarkdown remarkPlugins={PLUGINS} components={COMPONENTS}>
        {text}
      </ReactMarkdown>
    </div>
  );
});

const COMPONENTS: Components = {
  a: ({ node: _, ...rest }) => <a {...rest} target="_blank" rel="noopener noreferrer nofollow" />,
  img: ({ src, alt }) => (
    <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer nofollow">
      {alt || String(src)}
    </a>
  ),
  pre: ({ node: _, ...rest }) => <CodeBlock {...rest} />,
  table: ({ node: _, ...rest }) => (
    <div className={styles.wide}>
      <table {...rest} />
    </div>
  ),
};

function CodeBlock(props: ComponentProps<"pre">) {
  const { t } = useTranslation();
  const block = useRef<HTMLPreElement>(null);
  return (
    <div className={styles.code}>
      <pre {...props} ref={block} tabIndex={0} />
      <span className={styles.copy}>
        <CopyButton text={() => block.current?.textContent ?? ""} label={t("chat.copyCode")} />
      </span>
    </div>
  );
}
