import { expect, it } from "vitest";

import { digitsOf } from "./figures";

it.each([
  ["count", 3, 0],
  ["tokens", 37.98, 0],
  ["rate", 0.66, 2],
  ["rate", 42.31, 1],
  ["replicas", 1.25, 2],
] as const)("a %s of %d has %d digits after the point", (kind, value, digits) =>
  expect(digitsOf(kind, value)).toBe(digits),
);
