import { expect, it } from "vitest";

import type { RevisionView } from "@/api/types";

import { comparable, usualBefore } from "./revisions";

const revisions = [
  { digest: "a", state: "ready" },
  { digest: "b", state: "rejected" },
  { digest: "c", state: "ready" },
  { digest: "d", state: "ready" },
] as RevisionView[];

it("offers those whose files are there, the newest first", () =>
  expect(comparable(revisions).map(({ digest }) => digest)).toEqual(["d", "c", "a"]));

it.each([
  ["d", "c"],
  ["c", "a"],
  ["a", "c"],
])("%s is compared with %s", (after, before) => expect(usualBefore(revisions, after)).toBe(before));

it("knows nothing to compare the only one with", () => expect(usualBefore(revisions.slice(0, 2), "a")).toBeNull());
