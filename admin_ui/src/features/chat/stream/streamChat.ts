/** One request to `/v1/chat/completions`, streamed or not, as chat events. */
import { apiFetch } from "@/api/client";
import { failureOf } from "@/api/errors";

import type { ChatRequest } from "../state/conversation";
import { cutOff, readChatEvent, readCompletion, type ChatEvent } from "./completion";
import { endSse, readSse, SSE_START } from "./sse";

/** Ends with `done` or `error`, always. Throws only what `fetch` throws: no connection, or an abort. */
export async function* streamChat(body: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const options = body.stream ? { stream_options: { include_usage: true } } : {};
  const response = await apiFetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, ...options }),
    signal,
  });
  if (!response.ok) {
    const answer: unknown = await response.json().catch(() => null);
    yield { kind: "error", failure: failureOf(response.status, answer, response.headers.get("retry-after")) };
    return;
  }
  yield { kind: "opened", revision: response.headers.get("x-roundhouse-revision") ?? "" };
  if (!body.stream || response.body === null) {
    yield* readCompletion(await response.json());
    return;
  }
  yield* readStream(response.body);
}

async function* readStream(body: ReadableStream<Uint8Array>): AsyncGenerator<ChatEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let state = SSE_START;
  for (;;) {
    const { done, value } = await reader.read();
    let events;
    if (done) events = endSse(state);
    else [state, events] = readSse(state, decoder.decode(value, { stream: true }));
    for (const event of events.flatMap(readChatEvent)) {
      yield event;
      if (event.kind === "done" || event.kind === "error") {
        void reader.cancel();
        return;
      }
    }
    if (done) {
      yield { kind: "error", failure: cutOff() };
      return;
    }
  }
}
