/** Conversations and what may happen to them. PURE: ids and times come in as arguments. */
import type { Failure } from "@/api/errors";

import type { ChatEvent } from "../stream/completion";

export interface ChatSettings {
  systemPrompt: string;
  /** null: the model's own default. */
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  stream: boolean;
}

export interface AnswerStats {
  /** Time to first token, in seconds; null when the answer was not streamed. */
  ttftS: number | null;
  durationS: number;
  completionTokens: number | null;
}

export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string;
  reasoning?: string;
  /** The answer's model. */
  model?: string;
  stats?: AnswerStats;
  finish?: "stopped" | "length" | "complete";
  failure?: Failure;
}

export interface Conversation {
  id: string;
  title: string;
  /** null until the first message: the page's choice of the moment. */
  model: string | null;
  settings: ChatSettings;
  messages: Message[];
  createdAt: number;
  updatedAt: number;
}

export interface ChatRequest {
  model: string;
  messages: { role: "system" | "user" | "assistant"; content: string }[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  stream: boolean;
}

export const DEFAULT_SETTINGS: ChatSettings = {
  systemPrompt: "",
  temperature: null,
  topP: null,
  maxTokens: null,
  stream: true,
};

const TITLE_CHARS = 60;

export function newConversation(id: string, now: number, settings = DEFAULT_SETTINGS): Conversation {
  return { id, title: "", model: null, settings, messages: [], createdAt: now, updatedAt: now };
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0]?.trim() ?? "";
  const chars = [...line];
  return chars.length > TITLE_CHARS ? `${chars.slice(0, TITLE_CHARS - 1).join("").trimEnd()}…` : line;
}

/** Add a question and the empty answer that the model is about to fill. */
export function ask(
  conversation: Conversation,
  question: { id: string; answerId: string; text: string; model: string },
  now: number,
): Conversation {
  const { id, answerId, text, model } = question;
  return {
    ...conversation,
    title: conversation.title || titleOf(text),
    model,
    messages: [
      ...conversation.messages,
      { id, role: "user", content: text },
      { id: answerId, role: "assistant", content: "", model },
    ],
    updatedAt: now,
  };
}

/** Put an empty answer in the place of the last one. */
export function askAgain(conversation: Conversation, answerId: string, model: string, now: number): Conversation {
  const messages = [...conversation.messages];
  if (messages.at(-1)?.role === "assistant") messages.pop();
  messages.push({ id: answerId, role: "assistant", content: "", model });
  return { ...conversation, model, messages, updatedAt: now };
}

export function changeMessage(conversation: Conversation, id: string, change: (old: Message) => Message): Conversation {
  return { ...conversation, messages: conversation.messages.map((each) => (each.id === id ? change(each) : each)) };
}

/** What one event adds to an answer; its numbers come at the end, with `withStats`. */
export function hear(message: Message, event: ChatEvent): Message {
  switch (event.kind) {
    case "text":
      return { ...message, content: message.content + event.text };
    case "reasoning":
      return { ...message, reasoning: (message.reasoning ?? "") + event.text };
    case "finish":
      return { ...message, finish: event.reason === "length" ? "length" : "complete" };
    case "error":
      return { ...message, failure: event.failure };
    case "usage":
    case "done":
      return message;
  }
}

/** Generated tokens a second, first token excluded: how fast words came once they came. */
export function tokensPerSecond(stats: AnswerStats): number | null {
  const { completionTokens, durationS, ttftS } = stats;
  if (completionTokens === null || completionTokens < 1) return null;
  if (ttftS === null) return durationS > 0 ? completionTokens / durationS : null;
  const decodeS = durationS - ttftS;
  return completionTokens > 1 && decodeS > 0 ? (completionTokens - 1) / decodeS : null;
}

/** The body to send for the last question. Answers that failed before their first word are left out. */
export function requestOf(conversation: Conversation, model: string): ChatRequest {
  const { systemPrompt, temperature, topP, maxTokens, stream } = conversation.settings;
  const system = systemPrompt.trim() ? [{ role: "system" as const, content: systemPrompt }] : [];
  const said = conversation.messages.filter((each) => each.content !== "");
  return {
    model,
    messages: [...system, ...said.map(({ role, content }) => ({ role, content }))],
    ...(temperature === null ? {} : { temperature }),
    ...(topP === null ? {} : { top_p: topP }),
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    stream,
  };
}

/** The conversation as a file: a request body in OpenAI's format, and nothing of the server. */
export function exportOf(conversation: Conversation): string {
  const { stream: _, ...body } = requestOf(conversation, conversation.model ?? "");
  return JSON.stringify({ title: conversation.title, ...body }, null, 2);
}

export function fileNameOf(conversation: Conversation): string {
  const name = conversation.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return `${name || "conversation"}.json`;
}

export type Period = "today" | "yesterday" | "earlier";

/** Newest first, by day. `startOfToday` is midnight where the reader is, in milliseconds. */
export function byPeriod(all: Conversation[], startOfToday: number): [Period, Conversation[]][] {
  const sorted = [...all].sort((a, b) => b.updatedAt - a.updatedAt);
  const yesterday = startOfToday - 86_400_000;
  const groups: [Period, Conversation[]][] = [
    ["today", sorted.filter((each) => each.updatedAt >= startOfToday)],
    ["yesterday", sorted.filter((each) => each.updatedAt < startOfToday && each.updatedAt >= yesterday)],
    ["earlier", sorted.filter((each) => each.updatedAt < yesterday)],
  ];
  return groups.filter(([, members]) => members.length > 0);
}
