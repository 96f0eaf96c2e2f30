/** Conversations and what may happen to them. PURE: ids and times come in as arguments. */
import type { AnswerStats, ChatSettings, ChatText, ChatView, Message } from "@/api/types";

import type { ChatEvent } from "../stream/completion";
import { separateThought } from "../stream/thought";
import { measure } from "./context";
import { branchOf, changeMessage, deepest, merge } from "./tree";

export interface Conversation extends ChatText {
  id: string;
  /** Of the server's copy that this was made of; 0: it has none yet. */
  version: number;
  title: string;
  /** null until the first message: the page's choice of the moment. */
  model: string | null;
}

type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export interface ChatRequest {
  model: string;
  messages: { role: "system" | "user" | "assistant"; content: string | Part[] }[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
  stream: boolean;
  /** vLLM's: go on with the last message instead of beginning a new one. */
  continue_final_message?: true;
  add_generation_prompt?: false;
}

export const DEFAULT_SETTINGS: ChatSettings = {
  system_prompt: "",
  temperature: null,
  top_p: null,
  max_tokens: null,
  context_tokens: null,
  stop: [],
  seed: null,
  stream: true,
};

const TITLE_CHARS = 60;

export function newConversation(id: string, model: string | null = null, settings = DEFAULT_SETTINGS): Conversation {
  return { id, version: 0, title: "", model, other_model: null, settings, messages: [], leaf: null };
}

export function conversationOf({ head, text }: ChatView): Conversation {
  return { ...text, id: head.id, version: head.version, title: head.title, model: head.model };
}

/** The server's newer copy with what this page has added to its own. */
export function reconcile(ours: Conversation, theirs: Conversation): Conversation {
  return { ...ours, version: theirs.version, title: theirs.title, messages: merge(ours.messages, theirs.messages) };
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0]?.trim() ?? "";
  const chars = [...line];
  return chars.length > TITLE_CHARS ? `${chars.slice(0, TITLE_CHARS - 1).join("").trimEnd()}…` : line;
}

export interface Question {
  id: string;
  text: string;
  images: string[];
  /** What it follows; another question with the same parent becomes its branch. */
  parent: string | null;
}

/** An answer that a model is about to fill. */
export interface Awaited {
  id: string;
  model: string;
}

/** Add a question and the empty answers of one model, or of two side by side. `now`: Unix seconds. */
export function ask(old: Conversation, question: Question, answers: Awaited[], now: number): Conversation {
  const { id, text, images, parent } = question;
  const asked: Message = { ...blank(id, "user", parent, now), content: text, images };
  const next = { ...old, title: old.title || titleOf(text), messages: [...old.messages, asked] };
  return askAgain(next, id, answers, now);
}

/** Add empty answers beside those that a question has. */
export function askAgain(old: Conversation, questionId: string, answers: Awaited[], now: number): Conversation {
  const empty = answers.map(({ id, model }): Message => ({ ...blank(id, "assistant", questionId, now), model }));
  return { ...old, messages: [...old.messages, ...empty], leaf: empty[0]?.id ?? old.leaf };
}

/** Show the branch that goes through a message. */
export function showBranch(old: Conversation, id: string): Conversation {
  return { ...old, leaf: deepest(old.messages, id) };
}

export function change(old: Conversation, id: string, how: (old: Message) => Message): Conversation {
  return { ...old, messages: changeMessage(old.messages, id, how) };
}

/** What one event adds to an answer; its numbers come at the end. */
export function hear(message: Message, event: ChatEvent): Message {
  switch (event.kind) {
    case "opened":
      return { ...message, revision: event.revision };
    case "text":
      return { ...message, content: message.content + event.text };
    case "reasoning":
      return { ...message, reasoning: message.reasoning + event.text };
    case "finish":
      return { ...message, ...separateThought(message), finish: finishOf(event.reason) };
    case "error": {
      const { status, code, message: words } = event.failure;
      return { ...message, failure: { status, code, message: words }, finish: "failed" };
    }
    case "usage":
    case "done":
      return message;
  }
}

function finishOf(reason: string): Message["finish"] {
  return reason === "length" || reason === "stopped" ? reason : "complete";
}

/** What came in a shorter time came at once, in one piece: its pace is the network's, not the engine's. */
const AT_ONCE_S = 0.05;

/** Generated tokens a second, first token excluded: how fast words came once they came. What came at once is counted
 * over the whole time. */
export function tokensPerSecond(stats: AnswerStats): number | null {
  const { completion_tokens: tokens, duration_s: durationS, ttft_s: ttftS } = stats;
  if (tokens === null || tokens < 1) return null;
  const decodeS = ttftS === null ? 0 : durationS - ttftS;
  if (decodeS >= AT_ONCE_S) return tokens > 1 ? (tokens - 1) / decodeS : null;
  return durationS > 0 ? tokens / durationS : null;
}

/** The body to send so that `answerId` is written, or gone on with where it has words already. */
export function requestOf(conversation: Conversation, answerId: string, modelTokens: number | null): ChatRequest {
  const { settings } = conversation;
  const branch = branchOf({ messages: conversation.messages, leaf: answerId });
  const answer = branch.at(-1);
  const goesOn = answer !== undefined && answer.content !== "";
  const sent = goesOn ? branch : branch.slice(0, -1);
  const { folded } = measure(sent, settings, modelTokens);
  const system = settings.system_prompt.trim() ? [{ role: "system" as const, content: settings.system_prompt }] : [];
  return {
    model: answer?.model ?? "",
    messages: [...system, ...sent.slice(folded).filter((each) => each.content || each.images.length).map(toOpenAi)],
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.top_p === null ? {} : { top_p: settings.top_p }),
    ...(settings.max_tokens === null ? {} : { max_tokens: settings.max_tokens }),
    ...(settings.seed === null ? {} : { seed: settings.seed }),
    ...(settings.stop.length === 0 ? {} : { stop: settings.stop }),
    stream: settings.stream,
    ...(goesOn ? { continue_final_message: true as const, add_generation_prompt: false as const } : {}),
  };
}

function toOpenAi({ role, content, images }: Message): ChatRequest["messages"][number] {
  if (images.length === 0) return { role, content };
  return {
    role,
    content: [{ type: "text", text: content }, ...images.map((url): Part => ({ type: "image_url", image_url: { url } }))],
  };
}

function blank(id: string, role: Message["role"], parent: string | null, now: number): Message {
  return {
    id,
    parent,
    role,
    content: "",
    reasoning: "",
    images: [],
    model: "",
    revision: "",
    finish: "",
    stats: null,
    failure: null,
    created_at: now,
  };
}
