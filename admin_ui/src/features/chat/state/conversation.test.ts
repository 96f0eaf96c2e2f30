import { describe, expect, it } from "vitest";

import type { AnswerStats, Message } from "@/api/types";

import { ask, askAgain, change, hear, newConversation, reconcile, requestOf, showBranch, titleOf, tokensPerSecond } from "./conversation";
import { branchOf } from "./tree";

const question = (id: string, text: string, parent: string | null = null) => ({ id, text, images: [], parent });
const begun = ask(newConversation("c"), question("q", "What is a roundhouse?"), [{ id: "a", model: "m" }], 1);
const said = (chat: typeof begun, id: string, content: string) => change(chat, id, (old) => ({ ...old, content, finish: "complete" }));
const ids = (messages: Message[]) => messages.map((each) => each.id);

describe("titleOf", () => {
  it("is the first line", () => expect(titleOf("  Hello\nworld")).toBe("Hello"));
  it("is cut by characters, not halves of them", () => expect([...titleOf("火".repeat(80))]).toHaveLength(60));
});

describe("a chat's branches", () => {
  const answered = said(begun, "a", "A building.");
  const again = askAgain(answered, "q", [{ id: "b", model: "other" }], 2);
  const edited = ask(answered, question("q2", "What is a turntable?"), [{ id: "c", model: "m" }], 3);

  it("begin with a question that names the chat", () => {
    expect(begun.title).toBe("What is a roundhouse?");
    expect(ids(branchOf(begun))).toEqual(["q", "a"]);
  });
  it("show the new answer and keep the old one", () => {
    expect(ids(branchOf(again))).toEqual(["q", "b"]);
    expect(ids(branchOf(showBranch(again, "a")))).toEqual(["q", "a"]);
  });
  it("show the edited question and keep what followed the first", () => {
    expect(ids(branchOf(edited))).toEqual(["q2", "c"]);
    expect(ids(branchOf(showBranch(edited, "q")))).toEqual(["q", "a"]);
  });
  it("put two models side by side under one question", () => {
    const two = [{ id: "x", model: "m" }, { id: "y", model: "n" }];
    const both = ask(newConversation("c"), question("q", "Hi"), two, 1);
    expect(both.messages.map(({ id, parent, model }) => [id, parent, model])).toEqual([
      ["q", null, ""], ["x", "q", "m"], ["y", "q", "n"],
    ]);
    expect(both.leaf).toBe("x");
  });
});

describe("requestOf", () => {
  it("leaves out the empty answer and settings that are the model's", () =>
    expect(requestOf(begun, "a", null)).toEqual({
      model: "m",
      messages: [{ role: "user", content: "What is a roundhouse?" }],
      stream: true,
    }));
  it("sends what was set", () => {
    const settings = {
      system_prompt: "Be brief.", temperature: 0, top_p: 0.5, max_tokens: 9, context_tokens: null,
      stop: ["END"], seed: 7, stream: false,
    };
    expect(requestOf({ ...begun, settings }, "a", null)).toMatchObject({
      messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
      temperature: 0, top_p: 0.5, max_tokens: 9, stop: ["END"], seed: 7, stream: false,
    });
  });
  it("sends each of two models the branch of its own answer", () => {
    const both = ask(said(begun, "a", "A."), question("r", "More?", "a"), [{ id: "x", model: "m" }, { id: "y", model: "n" }], 2);
    expect(requestOf(both, "y", null)).toMatchObject({ model: "n" });
    expect(requestOf(both, "y", null).messages.map((each) => each.content)).toEqual(["What is a roundhouse?", "A.", "More?"]);
  });
  it("goes on with an answer that has words already", () => {
    const request = requestOf(change(begun, "a", (old) => ({ ...old, content: "A buil" })), "a", null);
    expect(request.messages.at(-1)).toEqual({ role: "assistant", content: "A buil" });
    expect(request).toMatchObject({ continue_final_message: true, add_generation_prompt: false });
  });
  it("sends pictures as parts", () => {
    const chat = ask(newConversation("c"), { ...question("q", "See"), images: ["data:image/png;base64,AA=="] }, [{ id: "a", model: "m" }], 1);
    expect(requestOf(chat, "a", null).messages[0]?.content).toEqual([
      { type: "text", text: "See" },
      { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
    ]);
  });
  it("folds the oldest turns where the context is full", () => {
    let chat = begun;
    for (let turn = 0; turn < 6; turn += 1) {
      chat = ask(said(chat, chat.leaf ?? "", "word ".repeat(100)), question(`q${turn}`, `turn ${turn}`, chat.leaf), [{ id: `a${turn}`, model: "m" }], turn + 2);
    }
    const { messages } = requestOf(chat, "a5", 600);
    expect(messages[0]).toMatchObject({ role: "user", content: expect.stringMatching(/^turn/) as string });
    expect(messages.at(-1)).toEqual({ role: "user", content: "turn 5" });
    expect(messages.length).toBeLessThan(8);
  });
});

describe("hear", () => {
  const empty = branchOf(begun)[1] as Message;
  it("grows an answer and knows its weights", () => {
    const opened = hear(empty, { kind: "opened", revision: "sha256:ab" });
    expect(hear(hear(opened, { kind: "text", text: "He" }), { kind: "text", text: "llo" })).toMatchObject({ content: "Hello", revision: "sha256:ab" });
  });
  it("knows why it ended", () => {
    expect(hear(empty, { kind: "finish", reason: "length" }).finish).toBe("length");
    expect(hear(empty, { kind: "finish", reason: "stop" }).finish).toBe("complete");
  });
  it("moves a thought out of the answer at its end", () =>
    expect(hear({ ...empty, content: "<think>hm</think>\n\nYes." }, { kind: "finish", reason: "stop" })).toMatchObject({
      content: "Yes.", reasoning: "hm",
    }));
  it("keeps of a failure what the server keeps", () =>
    expect(hear(empty, { kind: "error", failure: { status: 503, code: "x", message: "No.", retryAfterS: 3 } })).toMatchObject({
      finish: "failed", failure: { status: 503, code: "x", message: "No." },
    }));
});

describe("reconcile", () => {
  it("keeps the branches of both pages", () => {
    const ours = askAgain(said(begun, "a", "A."), "q", [{ id: "ours", model: "m" }], 2);
    const theirs = { ...askAgain(said(begun, "a", "A."), "q", [{ id: "theirs", model: "m" }], 3), version: 7, title: "Renamed" };
    const both = reconcile(ours, theirs);
    expect(ids(both.messages)).toEqual(["q", "a", "theirs", "ours"]);
    expect(both).toMatchObject({ version: 7, title: "Renamed", leaf: "ours" });
  });
  it("takes the finished version of an answer that another page wrote", () =>
    expect(reconcile(begun, { ...said(begun, "a", "Done."), version: 2 }).messages[1]?.content).toBe("Done."));
});

describe("tokensPerSecond", () => {
  const stats = (changed: Partial<AnswerStats>): AnswerStats =>
    ({ ttft_s: 1, duration_s: 3, prompt_tokens: null, completion_tokens: 21, ...changed });
  it("leaves the first token out", () => expect(tokensPerSecond(stats({}))).toBe(10));
  it("takes the whole time when nothing was streamed", () =>
    expect(tokensPerSecond(stats({ ttft_s: null, completion_tokens: 30 }))).toBe(10));
  it("takes the whole time when all of it came at once", () =>
    expect(tokensPerSecond(stats({ ttft_s: 1.9997, duration_s: 2, completion_tokens: 8 }))).toBe(4));
  it("says nothing of a single token that took a while to end", () =>
    expect(tokensPerSecond(stats({ completion_tokens: 1 }))).toBeNull());
  it("says nothing without a count", () => expect(tokensPerSecond(stats({ completion_tokens: null }))).toBeNull());
});
