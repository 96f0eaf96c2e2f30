import { describe, expect, it } from "vitest";

import { amountAt, highestStep, lowestStep, stepOf } from "./doublings";

describe("doublings", () => {
  it.each([
    [131_072, 7, 17],
    [40_960, 6, 16],
    [128, 0, 7],
    [1, 0, 1],
  ])("up to %d go from step %d to %d", (most, low, high) => {
    expect([lowestStep(most), highestStep(most)]).toEqual([low, high]);
    expect(amountAt(high, most)).toBe(most);
  });
  it.each([128, 40_960])("up to %d find each of their amounts again", (most) => {
    for (let step = lowestStep(most); step <= highestStep(most); step += 1)
      expect(stepOf(amountAt(step, most), most)).toBe(step);
  });
  it("stay at their ends for what is beyond", () => expect([stepOf(9e9, 128), stepOf(0, 131_072)]).toEqual([7, 7]));
});
