import { toJsxRuntime } from "hast-util-to-jsx-runtime";
import { common, createLowlight } from "lowlight";
import { Fragment, jsx, jsxs } from "react/jsx-runtime";

import "./highlight.css";

const lowlight = createLowlight(common);

/** Code in colours, as elements: no HTML text is ever made of it. Fetched with the first block that names a language. */
export default function Highlighted({ text, language }: { text: string; language: string }) {
  const name = language.toLowerCase();
  if (!lowlight.registered(name)) return text;
  return toJsxRuntime(lowlight.highlight(name, text), { Fragment, jsx, jsxs });
}
