import { describe, expect, it } from "vitest";

import type { SentenceView } from "@/api/types";

import { figure, worded, type Words } from "./sentence";

const format = {
  number: (value: number, digits: number) => value.toFixed(digits),
  duration: (seconds: number) => `${seconds} s`,
  memory: (bytes: number) => `${bytes} B`,
};
const DICTIONARY: Record<string, string> = { stopped: "停止。", failed: "失败：{{why}}。", late: "{{time}}内" };
const words: Words = (code, values) => DICTIONARY[code]?.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name])) ?? null;
const sentence = (code: string, values: SentenceView["values"] = {}) => ({ code, values }) as SentenceView;

it.each([
  [sentence("stopped"), "停止。"],
  [sentence("failed", { why: "CUDA error." }), "失败：CUDA error.。"],
  [sentence("failed", { why: sentence("stopped") }), "失败：停止。"],
  [sentence("failed", { why: sentence("late", { time_s: 30 }) }), "失败：30 s内。"],
  [sentence("newer than this page"), null],
  [sentence("failed", { why: sentence("newer than this page") }), null],
])("%j is %s", (said, text) => expect(worded(said, words, format)).toBe(text));

describe("figure", () => {
  it.each([
    ["look_back_s", 120, ["look_back", "120 s"]],
    ["weights_bytes", 5, ["weights", "5 B"]],
    ["need", 2.345, ["need", "2.3"]],
    ["arrivals", 0.123, ["arrivals", "0.12"]],
  ] as const)("%s", (name, value, shown) => expect(figure(name, value, format)).toEqual(shown));
});
