import { expect, it } from "vitest";

import { sortRows } from "./sortRows";

it("sorts words naturally and numbers by size", () => {
  expect(sortRows(["gpu-10", "gpu-2"], (each) => each, false)).toEqual(["gpu-2", "gpu-10"]);
  expect(sortRows([2, 10, 1], (each) => each, true)).toEqual([10, 2, 1]);
});

it("leaves its input alone", () => {
  const rows = [2, 1];
  sortRows(rows, (each) => each, false);
  expect(rows).toEqual([2, 1]);
});
