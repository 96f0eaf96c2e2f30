import { isValidElement, type ReactNode } from "react";
import ReactMarkdown, { type Components, type Options } from "react-markdown";
import remarkGfm from "remark-gfm";

import { CodeBlock } from "./CodeBlock";
import styles from "./Markdown.module.css";

type Plugins = Pick<Options, "remarkPlugins" | "rehypePlugins">;

const PLAIN: Plugins = { remarkPlugins: [remarkGfm] };

/** One block of Markdown. Raw HTML stays text; images are links, for a picture can carry words away. */
export default function Prose({ text, plugins = PLAIN }: { text: string; plugins?: Plugins }) {
  return (
    <ReactMarkdown {...plugins} components={COMPONENTS}>
      {text}
    </ReactMarkdown>
  );
}

const COMPONENTS: Components = {
  a: ({ node: _, ...rest }) => <a {...rest} target="_blank" rel="noopener noreferrer nofollow" />,
  img: ({ src, alt }) => (
    <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer nofollow">
      {alt || String(src)}
    </a>
  ),
  // A fence inside a list: those between blocks never come here.
  pre: ({ children }) => <CodeBlock {...codeOf(children)} writing={false} />,
  table: ({ node: _, ...rest }) => (
    <div className={styles.wide} tabIndex={0}>
      <table {...rest} />
    </div>
  ),
};

function codeOf(child: ReactNode): { text: string; language: string } {
  if (!isValidElement<{ className?: string; children?: ReactNode }>(child)) return { text: String(child), language: "" };
  const { className = "", children } = child.props;
  return { text: String(children ?? "").replace(/\n$/, ""), language: /language-(\S+)/.exec(className)?.[1] ?? "" };
}
