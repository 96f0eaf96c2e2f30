import { describe, expect, it } from "vitest";

import type { Message } from "@/api/types";

import { calibration, estimateTokens, measure } from "./context";
import { DEFAULT_SETTINGS } from "./conversation";

const turn = (role: Message["role"], content: string, completion_tokens: number | null = null) =>
  ({ role, content, reasoning: "", images: [], stats: completion_tokens && { completion_tokens } }) as unknown as Message;

/** Some 100 estimated tokens each. */
const LONG = "abcd".repeat(100);
const CHAT = [turn("user", LONG), turn("assistant", LONG), turn("user", LONG), turn("assistant", LONG), turn("user", "now")];

describe("estimateTokens", () => {
  it("counts Chinese by the character", () => {
    expect(estimateTokens("abcdefgh")).toBe(2);
    expect(estimateTokens("你好世界")).toBeCloseTo(2.8);
  });
});

describe("calibration", () => {
  it("follows the model's own count", () => expect(calibration([turn("assistant", LONG, 150)])).toBe(1.5));
  it("needs enough to go by", () => expect(calibration([turn("assistant", "ok", 9)])).toBe(1));
});

describe("measure", () => {
  it("folds nothing where the limit is not known or wide", () => {
    expect(measure(CHAT, DEFAULT_SETTINGS, null)).toMatchObject({ folded: 0, limitTokens: null });
    expect(measure(CHAT, DEFAULT_SETTINGS, 8192).folded).toBe(0);
  });
  it("folds whole turns from the oldest, so that a question stands first", () =>
    expect(measure(CHAT, DEFAULT_SETTINGS, 400).folded).toBe(2));
  it("takes the smaller of the model's limit and the chat's", () => {
    expect(measure(CHAT, { ...DEFAULT_SETTINGS, context_tokens: 400 }, 8192)).toMatchObject({ limitTokens: 400, folded: 2 });
    expect(measure(CHAT, { ...DEFAULT_SETTINGS, context_tokens: 9000 }, 400).limitTokens).toBe(400);
  });
  it("keeps room for the longest answer that was asked for", () =>
    expect(measure(CHAT, { ...DEFAULT_SETTINGS, max_tokens: 300 }, 600).folded).toBe(2));
  it("always sends the last message", () => expect(measure(CHAT, DEFAULT_SETTINGS, 1).folded).toBe(CHAT.length - 1));
  it("counts what is being typed", () =>
    expect(measure([], DEFAULT_SETTINGS, 100, LONG).usedTokens).toBeGreaterThan(100));
});
