import { describe, expect, it } from "vitest";

import type { SwapView } from "@/api/types";

import { isCancellable, stepsOf, swapsOf, type StepName } from "./steps";

const shown = (strategy: SwapView["strategy"], step: StepName, canary: SwapView["canary"] = null) =>
  stepsOf({ strategy, step, canary }).map(({ name, at }) => `${name} ${at}`);

describe("stepsOf", () => {
  it("goes the way of its strategy", () => {
    expect(shown("in-place", "first")).toEqual(["preparing done", "first now", "rolling next", "done next"]);
    for (const strategy of ["surge", "restart"] as const)
      expect(shown(strategy, "restarting")).toEqual(["preparing done", "restarting now", "done next"]);
  });
  it("waits in front of it while it is queued", () =>
    expect(shown("restart", "queued")).toEqual(["queued now", "preparing next", "restarting next", "done next"]));
  it("is all done at its end", () =>
    expect(shown("in-place", "done")).toEqual(["preparing done", "first done", "rolling done", "done done"]));
  it("tries a canary before the rest", () => {
    const canary = { share: 0.1, for_s: 600, requests: 100 };
    expect(shown("in-place", "canary", canary)).toEqual(["preparing done", "first done", "canary now", "rolling next", "done next"]);
    expect(shown("surge", "first", canary)).toEqual(["preparing done", "first now", "canary next", "restarting next", "done next"]);
    expect(shown("surge", "returning", canary)).toEqual(["returning now", "failed next"]);
  });
  it("says only that it failed, or is being undone", () => {
    expect(shown("in-place", "failed")).toEqual(["failed stopped"]);
    expect(shown("restart", "undoing")).toEqual(["undoing now", "failed next"]);
  });
});

it.each([
  ["queued", true],
  ["preparing", true],
  ["first", false],
  ["done", false],
] as const)("a swap that is %s can be cancelled: %s", (step, can) => expect(isCancellable({ step })).toBe(can));

it("keeps the swaps of one deployment, the newest first", () => {
  const swaps = ["a", "b", "a"].map((deployment, place) => ({ id: String(place + 1), deployment }) as SwapView);
  expect(swapsOf(swaps, "a").map(({ id }) => id)).toEqual(["3", "1"]);
});
