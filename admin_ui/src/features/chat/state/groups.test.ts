import { expect, it } from "vitest";

import type { ChatHeadView } from "@/api/types";

import { groupsOf } from "./groups";

const DAY = 86_400;
const head = (id: string, updated_at: number, changed: Partial<ChatHeadView> = {}) =>
  ({ id, updated_at, pinned: false, folder: "", ...changed }) as ChatHeadView;

it("puts pinned chats first, then folders by name, then days, newest first, without empty groups", () => {
  const groups = groupsOf(
    [
      head("old", 0),
      head("t1", 10 * DAY + 1),
      head("t2", 10 * DAY + 2),
      head("z", 5, { folder: "Zoo" }),
      head("a", 6, { folder: "Art" }),
      head("p", 1, { pinned: true, folder: "Art" }),
    ],
    10 * DAY,
  );
  expect(groups.map(({ kind, name, heads }) => [kind, name, heads.map((each) => each.id)])).toEqual([
    ["pinned", "", ["p"]],
    ["folder", "Art", ["a"]],
    ["folder", "Zoo", ["z"]],
    ["today", "", ["t2", "t1"]],
    ["earlier", "", ["old"]],
  ]);
});
