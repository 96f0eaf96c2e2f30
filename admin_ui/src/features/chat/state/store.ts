/** The chats that this page has open, which one is shown, and which answers are being written. */
import { create } from "zustand";

import type { Failure } from "@/api/errors";
import type { ChatSettings } from "@/api/types";

import { newConversation, type Conversation } from "./conversation";

/** What stands in the composer and has not been sent. */
export interface Typed {
  text: string;
  images: string[];
}

interface ChatState {
  conversations: Record<string, Conversation>;
  /** null: the chat that has no message yet, which is `draft`. */
  openId: string | null;
  draft: Conversation;
  /** Ids of chats by the ids of their answers that are on their way. */
  answering: Record<string, string>;
  /** By chat id; that of the new chat is "". */
  typed: Record<string, Typed>;
  /** The question that is being edited in its place. */
  edited: string | null;
  /** Why a chat is not kept by the server yet. */
  unsaved: Record<string, Failure>;
}

export const NOTHING_TYPED: Typed = { text: "", images: [] };

export const useChat = create<ChatState>(() => ({
  conversations: {},
  openId: null,
  draft: newConversation(""),
  answering: {},
  typed: {},
  edited: null,
  unsaved: {},
}));

export function put(conversation: Conversation): void {
  useChat.setState((old) => ({ conversations: { ...old.conversations, [conversation.id]: conversation } }));
}

export function forget(id: string): void {
  useChat.setState((old) => {
    const { [id]: _, ...conversations } = old.conversations;
    return { conversations, openId: old.openId === id ? null : old.openId };
  });
}

/** Another person has logged in: nothing of the one before stays in memory. */
export function forgetEverything(): void {
  useChat.setState(useChat.getInitialState(), true);
}

export function show(id: string | null): void {
  useChat.setState(id === null ? { openId: null, draft: newConversation(""), edited: null } : { openId: id, edited: null });
}

export function conversation(id: string): Conversation | undefined {
  return useChat.getState().conversations[id];
}

export function isAnswering(id: string): boolean {
  return Object.values(useChat.getState().answering).includes(id);
}

/** The open conversation, made of the draft if it is the first time that something is said. */
export function openOrBegin(): Conversation {
  const { openId, draft } = useChat.getState();
  const open = openId === null ? undefined : conversation(openId);
  if (open) return open;
  const begun = { ...draft, id: newId() };
  put(begun);
  useChat.setState((old) => ({ openId: begun.id, draft: newConversation(""), typed: { ...old.typed, "": NOTHING_TYPED } }));
  return begun;
}

export function changeOpen(how: (old: Conversation) => Conversation): void {
  const { openId, draft } = useChat.getState();
  if (openId === null) useChat.setState({ draft: how(draft) });
  else changeChat(openId, how);
}

export function changeChat(id: string, how: (old: Conversation) => Conversation): void {
  const old = conversation(id);
  if (old) put(how(old));
}

export function settingsOf(changed: Partial<ChatSettings>): (old: Conversation) => Conversation {
  return (old) => ({ ...old, settings: { ...old.settings, ...changed } });
}

export function editQuestion(id: string | null): void {
  useChat.setState({ edited: id });
}

export function type(changed: Partial<Typed>): void {
  useChat.setState(({ openId, typed }) => {
    const id = openId ?? "";
    return { typed: { ...typed, [id]: { ...(typed[id] ?? NOTHING_TYPED), ...changed } } };
  });
}

/** `crypto.randomUUID` exists over https and on localhost only; Roundhouse is often neither. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
