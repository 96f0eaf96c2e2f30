/** Runs requests and writes what comes into the store. Goes on when the page shows something else. */
import { toFailure } from "@/api/errors";

import { cutOff } from "../stream/completion";
import { streamChat } from "../stream/streamChat";
import { ask, askAgain, change, requestOf, type Awaited, type Conversation } from "./conversation";
import { Pen } from "./pen";
import { keep } from "./saving";
import { changeChat, conversation, newId, NOTHING_TYPED, openOrBegin, type, useChat, type Typed } from "./store";

/** A model to ask, and how much it reads; null: not known. */
export interface Asked {
  name: string;
  modelTokens: number | null;
}

const stops = new Map<string, AbortController>();

/** Say something after `parent`; by default after what is shown. */
export function sendMessage({ text, images }: Typed, models: Asked[], parent?: string | null): void {
  const { id, leaf } = openOrBegin();
  const question = { id: newId(), text, images, parent: parent === undefined ? leaf : parent };
  begin(id, models, (old, answers, now) => ask(old, question, answers, now));
  if (parent === undefined) type(NOTHING_TYPED);
}

export function regenerate(id: string, questionId: string, models: Asked[]): void {
  begin(id, models, (old, answers, now) => askAgain(old, questionId, answers, now));
}

/** Go on with an answer that ended too early. */
export function continueAnswer(id: string, answerId: string, modelTokens: number | null): void {
  const said = conversation(id)?.messages.find((each) => each.id === answerId)?.stats?.completion_tokens ?? 0;
  changeChat(id, (old) => change(old, answerId, (message) => ({ ...message, finish: "", failure: null })));
  void answer(id, answerId, modelTokens, said);
}

/** Stop every answer of a chat; what has come of them stays. */
export function stopAnswers(id: string): void {
  for (const [answerId, chatId] of Object.entries(useChat.getState().answering)) {
    if (chatId === id) stops.get(answerId)?.abort();
  }
}

type Asking = (old: Conversation, answers: Awaited[], now: number) => Conversation;

function begin(id: string, models: Asked[], asking: Asking): void {
  const answers = models.map(({ name }) => ({ id: newId(), model: name }));
  const [first] = models;
  changeChat(id, (old) => ({ ...asking(old, answers, Date.now() / 1000), model: first?.name ?? old.model }));
  keep(id, 0);
  for (const [index, each] of answers.entries()) void answer(id, each.id, models[index]?.modelTokens ?? null);
}

async function answer(id: string, answerId: string, modelTokens: number | null, said = 0): Promise<void> {
  const chat = conversation(id);
  if (!chat) return;
  const stop = new AbortController();
  stops.set(answerId, stop);
  useChat.setState((old) => ({ answering: { ...old.answering, [answerId]: id } }));
  const pen = new Pen((draw) => {
    changeChat(id, (old) => change(old, answerId, draw));
    keep(id);
  }, said);
  try {
    for await (const event of streamChat(requestOf(chat, answerId, modelTokens), stop.signal)) pen.hear(event);
  } catch (error) {
    if (stop.signal.aborted) pen.hear({ kind: "finish", reason: "stopped" });
    else pen.hear({ kind: "error", failure: pen.begun ? cutOff() : toFailure(error) });
  }
  stops.delete(answerId);
  const last = pen.finish();
  useChat.setState(({ answering: { [answerId]: _, ...answering } }) => ({ answering }));
  changeChat(id, (old) => change(old, answerId, last));
  keep(id, 0);
}
