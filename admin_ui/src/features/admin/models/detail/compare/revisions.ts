/** Which revisions can be compared, and with which one that usually is. PURE. */
import type { RevisionView } from "@/api/types";

/** Those whose files the library has; the newest first. `revisions`: the oldest first. */
export const comparable = (revisions: RevisionView[]) => revisions.filter(({ state }) => state === "ready").reverse();

/** Digest of the one that came before; of the first one, of the one that came after it. null: there is no other. */
export function usualBefore(revisions: RevisionView[], after: string): string | null {
  const newestFirst = comparable(revisions).map(({ digest }) => digest);
  const at = newestFirst.indexOf(after);
  return newestFirst[at + 1] ?? newestFirst[at - 1] ?? null;
}
