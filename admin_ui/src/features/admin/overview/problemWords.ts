/** Which words tell what is wrong, and what mends it. PURE. */
import type { FixView, ProblemView } from "@/api/types";
import { shownValues, type Format, type Values, type Words } from "@/i18n/sentence";

const SWAP = /^deployments\?swap=/;
const SCALING = /^deployments\?scaling=/;
const PAGES = ["deployments", "models", "replicas", "nodes", "keys"] as const;

export type FixWord = "retry" | "scale" | "uncordon" | "swap" | "scaling" | (typeof PAGES)[number];

/** The word for what mends it. Null for a page that we do not know: the server is newer than this page. */
export function fixWord(fix: FixView): FixWord | null {
  if (fix.remedy !== "open") return fix.remedy;
  if (SWAP.test(fix.page)) return "swap";
  if (SCALING.test(fix.page)) return "scaling";
  return PAGES.find((page) => page === fix.page) ?? null;
}

/** What the sentence has beside its words. Null where it has a sentence among it that has no words here. */
export function problemValues(
  { values }: ProblemView,
  words: Words,
  format: Format & { bytes: (value: number) => string },
): Values | null {
  // What is free of a disk, unlike memory, is counted in decimal units.
  return shownValues(values, words, { ...format, memory: format.bytes });
}
