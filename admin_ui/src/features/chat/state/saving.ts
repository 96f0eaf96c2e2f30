/** Brings what changes in a chat to the server, one write at a time for each chat, and again until it is there. */
import { toFailure } from "@/api/errors";
import { queryClient } from "@/api/queryClient";
import type { ChatHeadView } from "@/api/types";

import { fetchChat, putChat, putChatOnLeaving } from "./api";
import { conversationOf, reconcile } from "./conversation";
import { conversation, forget, isAnswering, put, useChat } from "./store";

/** Changes that follow each other within this time are written once. */
const SETTLE_MS = 400;
/** While an answer is written, it is kept this often. */
const WRITING_MS = 5_000;
const RETRY_MS = 5_000;

export const HEADS_KEY = ["chats"] as const;

const timers = new Map<string, ReturnType<typeof setTimeout>>();
const running = new Set<string>();
const again = new Set<string>();

/** Keep a chat soon; sooner than it would have been if it was to be kept already. */
export function keep(id: string, afterMs = isAnswering(id) ? WRITING_MS : SETTLE_MS): void {
  if (afterMs > SETTLE_MS && timers.has(id)) return;
  clearTimeout(timers.get(id));
  timers.set(id, setTimeout(() => void save(id), afterMs));
}

/** The page is about to be left or hidden: the requests outlive it. */
export function keepNow(): void {
  for (const id of [...timers.keys()]) void save(id, putChatOnLeaving);
}

export function isUnsaved(id: string): boolean {
  return timers.has(id) || running.has(id);
}

async function save(id: string, send = putChat): Promise<void> {
  clearTimeout(timers.get(id));
  timers.delete(id);
  const chat = conversation(id);
  if (!chat) return;
  if (running.has(id)) {
    again.add(id);
    return;
  }
  running.add(id);
  try {
    note(id, await send(chat));
  } catch (error) {
    await recover(id, error);
  } finally {
    running.delete(id);
  }
  if (again.delete(id)) keep(id);
}

function note(id: string, head: ChatHeadView): void {
  const chat = conversation(id);
  if (chat) put({ ...chat, version: head.version });
  noteHead(head);
  settle(id, null);
}

/** What the server says of one chat, into the list of all. */
export function noteHead(head: ChatHeadView): void {
  queryClient.setQueryData<ChatHeadView[]>(HEADS_KEY, (old) =>
    old ? [head, ...old.filter((each) => each.id !== head.id)] : undefined,
  );
}

async function recover(id: string, error: unknown): Promise<void> {
  const failure = toFailure(error);
  if (failure.code === "chat_gone") return forget(id);
  if (failure.code === "chat_changed" && (await catchUp(id))) return keep(id, 0);
  settle(id, failure);
  // A chat that is refused is tried again when it changes; one that did not get there, in a while.
  if (failure.status === 0 || failure.status >= 500) keep(id, RETRY_MS);
}

/** Take over what another page wrote. */
export async function catchUp(id: string): Promise<boolean> {
  try {
    const theirs = conversationOf(await fetchChat(id));
    const ours = conversation(id);
    put(ours ? reconcile(ours, theirs) : theirs);
    return true;
  } catch (error) {
    if (toFailure(error).code === "chat_gone") forget(id);
    return false;
  }
}

function settle(id: string, failure: ReturnType<typeof toFailure> | null): void {
  useChat.setState(({ unsaved: { [id]: _, ...unsaved } }) => ({ unsaved: failure ? { ...unsaved, [id]: failure } : unsaved }));
}
