import { describe, expect, it } from "vitest";

import type { Message } from "@/api/types";

import { branchOf, changeMessage, deepest, keepSame, merge, roundsOf, turnsOf } from "./tree";

const turn = (id: string, parent: string | null, role: Message["role"], created_at = 0, finish: Message["finish"] = "complete") =>
  ({ id, parent, role, created_at, finish, content: id }) as Message;

const TREE = [
  turn("q", null, "user"),
  turn("a", "q", "assistant", 1),
  turn("b", "q", "assistant", 2),
  turn("c", "q", "assistant", 2),
  turn("r", "a", "user", 3),
];

describe("branchOf", () => {
  it("is the way to the leaf", () =>
    expect(branchOf({ messages: TREE, leaf: "r" }).map((each) => each.id)).toEqual(["q", "a", "r"]));
  it("is empty without one", () => expect(branchOf({ messages: [], leaf: null })).toEqual([]));
});

describe("roundsOf", () => {
  it("puts answers of the same moment together", () =>
    expect(roundsOf(TREE, TREE[1] as Message).map((round) => round.map((each) => each.id))).toEqual([["a"], ["b", "c"]]));
});

describe("turnsOf", () => {
  it("has each message's place among its alternatives", () => {
    const branch = branchOf({ messages: TREE, leaf: "c" });
    const places = turnsOf(TREE, branch).map(({ at, of, round }) => [at, of, round.map((each) => each.id)]);
    expect(places).toEqual([
      [0, 1, ["q"]],
      [1, 2, ["b", "c"]],
    ]);
  });
});

describe("keepSame", () => {
  const turns = (messages: Message[], leaf: string) => turnsOf(messages, branchOf({ messages, leaf }));
  it("has new objects for what changed alone", () => {
    const before = turns(TREE, "r");
    const after = turns(changeMessage(TREE, "r", (old) => ({ ...old, content: "more" })), "r");
    const kept = keepSame(before, after);
    expect(kept.map((each, index) => each === before[index])).toEqual([true, true, false]);
    expect(kept).toEqual(after);
  });
  it("draws an answer again where one beside it grows, or where an alternative comes", () => {
    const before = turns(TREE, "c");
    const beside = turns(changeMessage(TREE, "b", (old) => ({ ...old, content: "more" })), "c");
    expect(keepSame(before, beside)[1]).toBe(beside[1]);
    const added = turns([...TREE, turn("d", "q", "assistant", 9)], "c");
    expect(keepSame(before, added)[1]).toBe(added[1]);
  });
});

describe("deepest", () => {
  it("follows the newest child", () => {
    expect(deepest(TREE, "a")).toBe("r");
    expect(deepest(TREE, "q")).toBe("c");
    expect(deepest(TREE, "b")).toBe("b");
  });
});

describe("merge", () => {
  it("keeps parents before their children", () => {
    const merged = merge([...TREE.slice(0, 2), turn("mine", "a", "user")], TREE);
    expect(merged.map((each) => each.id)).toEqual(["q", "a", "b", "c", "r", "mine"]);
  });
  it("prefers what is finished, else its own", () => {
    const [half, whole] = [{ ...turn("a", "q", "assistant", 1, ""), content: "ha" }, { ...turn("a", "q", "assistant", 1), content: "hallo" }];
    expect(merge([half], [whole])[0]?.content).toBe("hallo");
    expect(merge([whole], [half])[0]?.content).toBe("hallo");
  });
});
