/** Which model a chat speaks to. PURE. */
import type { CatalogView } from "@/api/types";

const ORDER: CatalogView["status"][] = ["ready", "swapping", "asleep", "starting", "stopped", "failed"];

export interface Choice {
  name: string | null;
  /** null: chosen before, and not in the catalogue any more. */
  entry: CatalogView | null;
}

/** The chat's own model, even where it is gone; a new chat takes the last one used, or the readiest. */
export function choose(catalog: CatalogView[], chosen: string | null, lastUsed: string | null): Choice {
  const named = (name: string | null) => catalog.find((each) => each.name === name) ?? null;
  if (chosen !== null) return { name: chosen, entry: named(chosen) };
  const last = named(lastUsed);
  const entry = last ?? [...catalog].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status))[0] ?? null;
  return { name: entry?.name ?? null, entry };
}
