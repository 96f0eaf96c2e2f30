import { expect, it } from "vitest";

import { tokenInHash } from "./token";

it("reads the token of a login link", () => {
  expect(tokenInHash("#token=abc_-1")).toBe("abc_-1");
  expect(tokenInHash("#token=")).toBeNull();
  expect(tokenInHash("")).toBeNull();
});
