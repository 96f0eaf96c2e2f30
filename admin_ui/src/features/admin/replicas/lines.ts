/** The lines of a log that is followed. PURE. */
import type { LogLineView } from "@/api/types";

/** Kept of a log; older ones go. */
export const MOST_LINES = 5000;

export type Stream = "both" | LogLineView["stream"];

export interface NumberedLine extends LogLineView {
  /** Counts from the first line that was read; never changes. */
  n: number;
}

/** `lines` with those that came, the oldest left out where there are too many. */
export function appended(lines: readonly NumberedLine[], came: readonly LogLineView[]): readonly NumberedLine[] {
  if (came.length === 0) return lines;
  const next = (lines.at(-1)?.n ?? 0) + 1;
  return [...lines, ...came.map((line, index) => ({ ...line, n: next + index }))].slice(-MOST_LINES);
}

/** Those of a stream that have every word of `text` in them, in whatever case. */
export function matching(lines: readonly NumberedLine[], text: string, stream: Stream): readonly NumberedLine[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0 && stream === "both") return lines;
  return lines.filter((line) => {
    if (stream !== "both" && line.stream !== stream) return false;
    const low = line.text.toLowerCase();
    return words.every((word) => low.includes(word));
  });
}

/** A line cut where the first word of `text` stands in it, for marking. */
export function marked(line: string, text: string): { part: string; hit: boolean }[] {
  const word = text.trim().toLowerCase().split(/\s+/)[0] ?? "";
  if (!word) return [{ part: line, hit: false }];
  const parts: { part: string; hit: boolean }[] = [];
  const low = line.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, from)) {
    parts.push({ part: line.slice(from, at), hit: false }, { part: line.slice(at, at + word.length), hit: true });
    from = at + word.length;
  }
  parts.push({ part: line.slice(from), hit: false });
  return parts.filter(({ part }) => part);
}
