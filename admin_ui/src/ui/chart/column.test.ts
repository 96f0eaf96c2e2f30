import { describe, expect, it } from "vitest";

import { highest, isEmpty, newest, pathOf, thinned } from "./column";

describe("newest", () => {
  it("passes over what is not there yet, but not over a long silence", () => {
    expect(newest([1, 2, null])).toBe(2);
    expect(newest([1, null, null, null])).toBeNull();
    expect(newest([])).toBeNull();
  });
});

describe("highest", () => {
  it("is the largest figure, or null without any", () => {
    expect(highest([null, 3, 7, null])).toBe(7);
    expect(highest([-1, -3])).toBe(-1);
    expect(highest([null])).toBeNull();
    expect(isEmpty([null, null])).toBe(true);
    expect(isEmpty([0])).toBe(false);
  });
});

describe("thinned", () => {
  it("gives means of stretches of the same length", () => {
    expect(thinned([1, 3, 5, 7], 2)).toEqual([2, 6]);
    expect(thinned([1, null, null, null], 2)).toEqual([1, null]);
    expect(thinned([4, 5], 60)).toEqual([4, 5]);
  });
});

describe("pathOf", () => {
  it("breaks where nothing was recorded", () => {
    expect(pathOf([0, 10, null, 5], 30, 10, 10)).toBe("M0.0 10.0L10.0 0.0M30.0 5.0");
  });
  it("lies on the ground where nothing happened", () => {
    expect(pathOf([0, 0], 10, 10, 0)).toBe("M0.0 10.0L10.0 10.0");
  });
});
