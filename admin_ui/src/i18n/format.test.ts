import { describe, expect, it } from "vitest";

import { formatAge, formatBytes, formatContext, formatCompact, formatDuration, formatMemory } from "./format";

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_500, "1.5 kB"],
    [98_000_000, "98 MB"],
    [16_060_000_000, "16 GB"],
  ])("%d is %s", (bytes, text) => expect(formatBytes(bytes, "en")).toBe(text));
});

describe("formatContext", () => {
  it.each([
    [8192, "8k"],
    [131_072, "128k"],
    [2000, "2,000"],
    [40_960, "40k"],
    [32_000, "32k"],
  ])("%d is %s", (tokens, text) => expect(formatContext(tokens, "en")).toBe(text));
});

describe("formatDuration", () => {
  it.each([
    [0.214, "0.21 s"],
    [3.44, "3.4 s"],
    [0, "0 s"],
    [42, "42 s"],
    [75, "1 min 15 s"],
    [7260, "2 h 1 min"],
    [172_800, "2 d"],
  ])("%d is %s", (seconds, text) => expect(formatDuration(seconds, "en")).toBe(text));

  it("speaks Chinese", () => expect(formatDuration(75, "zh-CN")).toBe("1分钟 15秒"));
});

it.each([
  [0, "0 B"],
  [2048, "2 KiB"],
  [1_802_240, "1.7 MiB"],
  [2_297_235_776, "2.1 GiB"],
  [6_597_069_766_656, "6,144 GiB"],
])("%d of memory is %s", (bytes, text) => expect(formatMemory(bytes, "en")).toBe(text));

it.each([
  [14_900, "14.9K"],
  [596_049_920, "596M"],
  [7_600_000_000, "7.6B"],
])("%d parameters are %s", (value, text) => {
  expect(formatCompact(value, "en")).toBe(text);
  expect(formatCompact(value, "zh-CN")).toBe(text);
});

describe("formatAge", () => {
  it("uses one unit", () => {
    expect(formatAge(100, 142, "en")).toBe("42 s");
    expect(formatAge(0, 200, "en")).toBe("3 min");
    expect(formatAge(0, 90_000, "en")).toBe("1 d");
  });
  it("is never negative", () => expect(formatAge(200, 100, "en")).toBe("0 s"));
});
