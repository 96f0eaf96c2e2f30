import { describe, expect, it } from "vitest";

import { appended, marked, matching, MOST_LINES } from "./lines";

const out = (text: string) => ({ stream: "out" as const, text });
const err = (text: string) => ({ stream: "err" as const, text });

describe("appended", () => {
  it("numbers lines on and keeps the newest", () => {
    const first = appended([], [out("a"), err("b")]);
    expect(first.map(({ n }) => n)).toEqual([1, 2]);
    expect(appended(first, [])).toBe(first);
    const many = appended(first, Array.from({ length: MOST_LINES }, () => out("x")));
    expect(many).toHaveLength(MOST_LINES);
    expect(many[0]?.n).toBe(3);
    expect(many.at(-1)?.n).toBe(MOST_LINES + 2);
  });
});

describe("matching", () => {
  const lines = appended([], [out("INFO loading weights"), err("ERROR no memory"), out("weights loaded")]);
  it.each([
    ["", "both", 3],
    ["WEIGHTS", "both", 2],
    ["weights info", "both", 1],
    ["weights", "err", 0],
    ["", "err", 1],
    ["(.*", "both", 0],
  ] as const)("of “%s” in %s finds %i", (text, stream, count) => expect(matching(lines, text, stream)).toHaveLength(count));
});

describe("marked", () => {
  it("cuts a line at every hit and loses nothing", () => {
    const parts = marked("No memory: out of MEMORY", "memory x");
    expect(parts.map(({ part }) => part).join("")).toBe("No memory: out of MEMORY");
    expect(parts.filter(({ hit }) => hit).map(({ part }) => part)).toEqual(["memory", "MEMORY"]);
    expect(marked("plain", "")).toEqual([{ part: "plain", hit: false }]);
  });
});
