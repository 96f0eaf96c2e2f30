/** What the events of `/v1/chat/completions` mean. PURE. */
import { CUT_OFF, failureOf, type Failure } from "@/api/errors";

import type { SseEvent } from "./sse";

export type ChatEvent =
  /** The answer's head has come: which weights answer. */
  | { kind: "opened"; revision: string }
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; completionTokens: number; promptTokens: number }
  | { kind: "error"; failure: Failure }
  | { kind: "done" };

interface Piece {
  content?: string | null;
  /** vLLM's name; older versions and others say `reasoning_content`. */
  reasoning?: string | null;
  reasoning_content?: string | null;
}

interface Chunk {
  error?: unknown;
  choices?: { delta?: Piece; message?: Piece; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number; prompt_tokens?: number } | null;
}

/** One event of a stream. A typed error (`{"error": {…}}`) may come at any time, also after text. */
export function readChatEvent(event: SseEvent): ChatEvent[] {
  if (event.data === "[DONE]") return [{ kind: "done" }];
  let body: unknown;
  try {
    body = JSON.parse(event.data);
  } catch {
    return [{ kind: "error", failure: cutOff("The server sent an event that is not JSON.") }];
  }
  return readChunk(body);
}

/** The body of an answer that was not streamed. */
export function readCompletion(body: unknown): ChatEvent[] {
  return [...readChunk(body), { kind: "done" }];
}

export function cutOff(message = ""): Failure {
  return { status: 0, code: CUT_OFF, message, retryAfterS: null };
}

function readChunk(body: unknown): ChatEvent[] {
  if (typeof body !== "object" || body === null) return [];
  const chunk = body as Chunk;
  if (chunk.error) return [{ kind: "error", failure: failureOf(statusOf(chunk.error), body) }];
  const events: ChatEvent[] = [];
  const choice = chunk.choices?.[0];
  const piece = choice?.delta ?? choice?.message;
  const reasoning = piece?.reasoning ?? piece?.reasoning_content;
  if (reasoning) events.push({ kind: "reasoning", text: reasoning });
  if (piece?.content) events.push({ kind: "text", text: piece.content });
  if (choice?.finish_reason) events.push({ kind: "finish", reason: choice.finish_reason });
  if (chunk.usage) {
    const { completion_tokens: completionTokens = 0, prompt_tokens: promptTokens = 0 } = chunk.usage;
    events.push({ kind: "usage", completionTokens, promptTokens });
  }
  return events;
}

/** vLLM puts the HTTP status into `code` of an error inside a stream. */
function statusOf(error: unknown): number {
  const code = (error as { code?: unknown }).code;
  return typeof code === "number" ? code : 0;
}
