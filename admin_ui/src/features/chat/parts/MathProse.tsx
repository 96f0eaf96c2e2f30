import "katex/dist/katex.min.css";

import rehypeKatex from "rehype-katex";
import remarkGfm from "remark-gfm";
import remarkMath from "remark-math";

import { toMath } from "../stream/math";
import Prose from "./Prose";

/** `trust` stays off: no links, pictures or classes out of a formula. Errors show the formula as it was written. */
const PLUGINS: Parameters<typeof Prose>[0]["plugins"] = {
  remarkPlugins: [remarkGfm, [remarkMath, { singleDollarTextMath: false }]],
  rehypePlugins: [[rehypeKatex, { strict: "ignore", maxSize: 20, maxExpand: 200, errorColor: "inherit" }]],
};

/** Markdown with formulas. Fetched when the first formula is shown. */
export default function MathProse({ text }: { text: string }) {
  return <Prose text={toMath(text)} plugins={PLUGINS} />;
}
