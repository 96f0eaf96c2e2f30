import { describe, expect, it } from "vitest";

import type { UploadView } from "@/api/types";

import { differenceOf, isOutdated, isSame, matchUpload } from "./match";

const file = (path: string, size: number) => ({ path, content: { name: path, size, lastModified: 0 } });
const declared = (path: string, size_bytes: number) => ({
  path,
  size_bytes,
  upload_url: "",
  offset: 0,
  present: false,
  known_size: false,
  sha256: "",
});
const upload = (id: string, files: [string, number][], state: UploadView["state"] = "receiving") =>
  ({ id, state, files: files.map(([path, size]) => declared(path, size)) }) as UploadView;

const FILES: [string, number][] = [["config.json", 10], ["model.safetensors", 99]];
const PICKED = FILES.map(([path, size]) => file(path, size));

describe("matchUpload", () => {
  it("finds the upload of the same paths and sizes, in whatever order", () =>
    expect(matchUpload([upload("a", [["config.json", 10]]), upload("b", [...FILES].reverse())], PICKED)?.id).toBe("b"));
  it("takes the first, which is the newest", () =>
    expect(matchUpload([upload("new", FILES), upload("old", FILES)], PICKED)?.id).toBe("new"));
  it.each([
    ["of another size", upload("a", [["config.json", 11], ["model.safetensors", 99]])],
    ["with a file more", upload("a", [...FILES, ["x", 1]])],
    ["with a file less", upload("a", [["config.json", 10]])],
    ["that is complete", upload("a", FILES, "complete")],
    ["that is expired", upload("a", FILES, "expired")],
  ])("does not go on with one %s", (_, session) => expect(matchUpload([session], PICKED)).toBeUndefined());
});

it("names what is missing, of another size, and not part of it", () => {
  const difference = differenceOf(
    [declared("a", 1), declared("b", 2), declared("c", 3)],
    [file("b", 2), file("c", 4), file("d", 5)],
  );
  expect(difference).toEqual({ missing: ["a"], otherSize: ["c"], unknown: ["d"] });
  expect(isSame(difference)).toBe(false);
  expect(isSame(differenceOf([declared("a", 1)], [file("a", 1)]))).toBe(true);
});

it.each([
  ["written to since, partly there", { offset: 5, present: false }, 101_000, true],
  ["written to since, all there", { offset: 0, present: true }, 101_000, true],
  ["written to since, not begun", { offset: 0, present: false }, 101_000, false],
  ["as it was", { offset: 5, present: false }, 99_000, false],
])("a file %s", (_, sent, lastModified, outdated) =>
  expect(isOutdated(sent, { name: "x", size: 9, lastModified }, 100)).toBe(outdated),
);
