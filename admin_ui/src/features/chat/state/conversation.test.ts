import { describe, expect, it } from "vitest";

import { ask, askAgain, byPeriod, exportOf, fileNameOf, hear, newConversation, requestOf, titleOf, tokensPerSecond } from "./conversation";

const begun = ask(newConversation("c", 0), { id: "q", answerId: "a", text: "What is a roundhouse?", model: "m" }, 1);

describe("titleOf", () => {
  it("is the first line", () => expect(titleOf("  Hello\nworld")).toBe("Hello"));
  it("is cut by characters, not halves of them", () => expect([...titleOf("火".repeat(80))]).toHaveLength(60));
});

describe("ask", () => {
  it("names the conversation by its first question and opens an answer", () => {
    expect(begun.title).toBe("What is a roundhouse?");
    expect(begun.messages.map((each) => each.role)).toEqual(["user", "assistant"]);
  });
  it("replaces the last answer when asked again", () => {
    const again = askAgain(begun, "b", "other", 2);
    expect(again.messages.map((each) => each.id)).toEqual(["q", "b"]);
    expect(again.model).toBe("other");
  });
});

describe("requestOf", () => {
  it("leaves out the empty answer and settings that are the model's", () =>
    expect(requestOf(begun, "m")).toEqual({
      model: "m",
      messages: [{ role: "user", content: "What is a roundhouse?" }],
      stream: true,
    }));
  it("sends what was set", () => {
    const settings = { systemPrompt: "Be brief.", temperature: 0, topP: 0.5, maxTokens: 9, stream: false };
    expect(requestOf({ ...begun, settings }, "m")).toMatchObject({
      messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
      temperature: 0,
      top_p: 0.5,
      max_tokens: 9,
      stream: false,
    });
  });
});

describe("exportOf", () => {
  it("is OpenAI messages", () =>
    expect(JSON.parse(exportOf(begun))).toEqual({
      title: "What is a roundhouse?",
      model: "m",
      messages: [{ role: "user", content: "What is a roundhouse?" }],
    }));
  it("has a file name in any script", () => {
    expect(fileNameOf({ ...begun, title: "../a b?" })).toBe("a-b.json");
    expect(fileNameOf({ ...begun, title: "写作 助手" })).toBe("写作-助手.json");
    expect(fileNameOf({ ...begun, title: "" })).toBe("conversation.json");
  });
});

describe("hear", () => {
  it("grows an answer", () => {
    const answer = { id: "a", role: "assistant" as const, content: "He" };
    expect(hear(answer, { kind: "text", text: "llo" }).content).toBe("Hello");
    expect(hear(answer, { kind: "finish", reason: "length" }).finish).toBe("length");
  });
});

describe("tokensPerSecond", () => {
  it("leaves the first token out", () =>
    expect(tokensPerSecond({ ttftS: 1, durationS: 3, completionTokens: 21 })).toBe(10));
  it("takes the whole time when nothing was streamed", () =>
    expect(tokensPerSecond({ ttftS: null, durationS: 2, completionTokens: 20 })).toBe(10));
  it("says nothing without a count", () =>
    expect(tokensPerSecond({ ttftS: 1, durationS: 3, completionTokens: null })).toBeNull());
});

describe("byPeriod", () => {
  it("groups newest first and drops empty days", () => {
    const day = 86_400_000;
    const at = (id: string, updatedAt: number) => ({ ...newConversation(id, 0), updatedAt });
    const groups = byPeriod([at("old", 0), at("t1", 10 * day + 1), at("t2", 10 * day + 2)], 10 * day);
    expect(groups.map(([name, members]) => [name, members.map((each) => each.id)])).toEqual([
      ["today", ["t2", "t1"]],
      ["earlier", ["old"]],
    ]);
  });
});
