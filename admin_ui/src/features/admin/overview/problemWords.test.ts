import { describe, expect, it } from "vitest";

import type { FixView, ProblemView } from "@/api/types";

import { fixWord, problemValues } from "./problemWords";

const open = (page: string): FixView => ({ remedy: "open", name: "", replicas: null, page });

describe("fixWord", () => {
  it.each([
    ["replicas", "replicas"],
    ["deployments?swap=chat", "swap"],
    ["deployments?scaling=chat", "scaling"],
    ["nodes", "nodes"],
    ["somewhere/else", null],
  ])("of the page %s is %s", (page, word) => expect(fixWord(open(page))).toBe(word));
  it("is the remedy itself where something is done", () => {
    expect(fixWord({ remedy: "scale", name: "chat", replicas: 2, page: "" })).toBe("scale");
  });
});

describe("problemValues", () => {
  it("has bytes as people read them", () => {
    const problem = { values: { host: "h", free_bytes: 7e9 } } as unknown as ProblemView;
    const format = { number: String, duration: String, memory: String, bytes: (value: number) => `${value / 1e9} GB` };
    expect(problemValues(problem, () => null, format)).toEqual({ host: "h", free: "7 GB" });
  });
});
