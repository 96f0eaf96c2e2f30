import { expect, it } from "vitest";

import { speedOf, timeLeftOf, withSample, type Sample } from "./pace";

const after = (...samples: [number, number][]) =>
  samples.reduce<Sample[]>((all, [atS, bytes]) => withSample(all, { atS, bytes }), []);

it("says nothing of the speed before a second has passed", () => {
  expect(speedOf([])).toBeNull();
  expect(speedOf(after([0, 0], [0.5, 100]))).toBeNull();
  expect(speedOf(after([0, 0], [1, 100]))).toBe(100);
});

it("forgets what is older than its window", () => {
  const samples = after([0, 0], [10, 1_000_000], [20, 1_000_100], [25, 1_000_150]);
  expect(samples[0]).toEqual({ atS: 10, bytes: 1_000_000 });
  expect(speedOf(samples)).toBe(10);
});

it("is never negative: what a cut took back is no speed", () => expect(speedOf(after([0, 500], [2, 100]))).toBe(0));

it("knows no time left while nothing moves", () => {
  expect(timeLeftOf(1000, null)).toBeNull();
  expect(timeLeftOf(1000, 0)).toBeNull();
  expect(timeLeftOf(1000, 50)).toBe(20);
});
