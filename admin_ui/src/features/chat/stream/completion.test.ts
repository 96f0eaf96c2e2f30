import { describe, expect, it } from "vitest";

import { readChatEvent, readCompletion } from "./completion";

const event = (data: unknown) => ({ event: "message", data: typeof data === "string" ? data : JSON.stringify(data) });

describe("readChatEvent", () => {
  it("knows the end", () => expect(readChatEvent(event("[DONE]"))).toEqual([{ kind: "done" }]));

  it("reads text and the reason of the end", () =>
    expect(readChatEvent(event({ choices: [{ delta: { content: "Hi" }, finish_reason: "stop" }] }))).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "finish", reason: "stop" },
    ]));

  it("says nothing for the role alone", () =>
    expect(readChatEvent(event({ choices: [{ delta: { role: "assistant", content: "" } }] }))).toEqual([]));

  it("reads reasoning under either name", () => {
    expect(readChatEvent(event({ choices: [{ delta: { reasoning: "hm" } }] }))).toEqual([{ kind: "reasoning", text: "hm" }]);
    expect(readChatEvent(event({ choices: [{ delta: { reasoning_content: "hm" } }] }))).toEqual([
      { kind: "reasoning", text: "hm" },
    ]);
  });

  it("reads usage of the last chunk, which has no choices", () =>
    expect(readChatEvent(event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 12 } }))).toEqual([
      { kind: "usage", completionTokens: 12, promptTokens: 7 },
    ]));

  it("reads a typed error", () => {
    const [read] = readChatEvent(event({ error: { message: "The replica died.", type: "server_error", code: "replica_lost" } }));
    expect(read).toMatchObject({ kind: "error", failure: { code: "replica_lost", message: "The replica died." } });
  });

  it("calls broken JSON an error", () => expect(readChatEvent(event("{oops"))[0]).toMatchObject({ kind: "error" }));
});

describe("readCompletion", () => {
  it("reads an answer that came whole", () =>
    expect(
      readCompletion({ choices: [{ message: { content: "Hi" }, finish_reason: "length" }], usage: { completion_tokens: 1 } }),
    ).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "finish", reason: "length" },
      { kind: "usage", completionTokens: 1, promptTokens: 0 },
      { kind: "done" },
    ]));
});
