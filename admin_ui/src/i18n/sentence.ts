/** What the server says, in the words of a page. PURE: words and formats come in as arguments. */
import type { SentenceView } from "@/api/types";

export interface Format {
  number: (value: number, digits: number) => string;
  duration: (seconds: number) => string;
  memory: (bytes: number) => string;
}

/** By the names that words have for them. */
export type Values = Record<string, string | number>;

/** The words for a code with what stands beside them; null if there are none. */
export type Words = (code: string, values: Values) => string | null;

/** A sentence and those inside it. Null where words are missing: the server is newer, or English is spoken. */
export function worded({ code, values }: SentenceView, words: Words, format: Format): string | null {
  const shown = shownValues(values, words, format);
  return shown && words(code, shown);
}

/** What stands beside the words: figures as `figure` has them, sentences without their full stop. */
export function shownValues(values: SentenceView["values"], words: Words, format: Format): Values | null {
  const shown: [string, string][] = [];
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "string") shown.push([name, value]);
    else if (typeof value === "number") shown.push(figure(name, value, format));
    else {
      const inside = worded(value, words, format);
      if (inside === null) return null;
      shown.push([name, inside.replace(/[.。]$/, "")]);
    }
  }
  return Object.fromEntries(shown);
}

/** Times and sizes by their names without the unit; other figures to a tenth, small ones to a hundredth. */
export function figure(name: string, value: number, format: Format): [string, string] {
  if (name.endsWith("_s")) return [name.slice(0, -"_s".length), format.duration(value)];
  if (name.endsWith("_bytes")) return [name.slice(0, -"_bytes".length), format.memory(value)];
  return [name, format.number(value, value < 1 ? 2 : 1)];
}
