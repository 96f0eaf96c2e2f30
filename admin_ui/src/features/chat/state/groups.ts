/** How the list of chats is laid out. PURE. */
import type { ChatHeadView } from "@/api/types";

export type Period = "today" | "yesterday" | "earlier";

export interface Group {
  kind: "pinned" | "folder" | Period;
  /** Of a folder. */
  name: string;
  heads: ChatHeadView[];
}

const DAY_S = 86_400;

/** Pinned first, then folders by name, then the rest by day; each newest first. `startOfToday`: Unix seconds. */
export function groupsOf(all: ChatHeadView[], startOfToday: number): Group[] {
  const sorted = [...all].sort((a, b) => b.updated_at - a.updated_at);
  const free = sorted.filter((each) => !each.pinned && !each.folder);
  const folders = foldersOf(all).map((name): Group => ({
    kind: "folder",
    name,
    heads: sorted.filter((each) => !each.pinned && each.folder === name),
  }));
  const since = (period: Period, from: number, to: number): Group => ({
    kind: period,
    name: "",
    heads: free.filter(({ updated_at: at }) => at >= from && at < to),
  });
  const groups: Group[] = [
    { kind: "pinned", name: "", heads: sorted.filter((each) => each.pinned) },
    ...folders,
    since("today", startOfToday, Infinity),
    since("yesterday", startOfToday - DAY_S, startOfToday),
    since("earlier", -Infinity, startOfToday - DAY_S),
  ];
  return groups.filter(({ heads }) => heads.length > 0);
}

export function foldersOf(all: ChatHeadView[]): string[] {
  return [...new Set(all.map((each) => each.folder).filter(Boolean))].sort((a, b) => a.localeCompare(b));
}
