/** Thoughts that a model writes into its answer as `<think>…</think>`, where no parser took them out. PURE. */

const OPENS = "<think>";
const CLOSES = "</think>";

export interface Said {
  content: string;
  reasoning: string;
}

/** The same words, with an opening thought moved from the content to the reasoning. */
export function separateThought<T extends Said>({ content, reasoning }: T): Said {
  const text = content.trimStart();
  if (!text.startsWith(OPENS)) return { content, reasoning };
  const end = text.indexOf(CLOSES);
  const thought = text.slice(OPENS.length, end < 0 ? undefined : end).trim();
  return {
    content: end < 0 ? "" : text.slice(end + CLOSES.length).trimStart(),
    reasoning: reasoning ? `${reasoning}\n${thought}` : thought,
  };
}
