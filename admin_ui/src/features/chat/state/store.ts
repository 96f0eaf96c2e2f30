/** The conversations of this page, which one is open, and which are being answered. */
import { create } from "zustand";

import { DEFAULT_SETTINGS, newConversation, type ChatSettings, type Conversation } from "./conversation";
import { loadConversations, removeConversation, saveConversation, watchStorage } from "./storage";

interface ChatState {
  conversations: Record<string, Conversation>;
  /** Unset while a new chat has no message yet. */
  openId: string | null;
  /** Model and settings of the chat that has no message yet. */
  draft: { model: string | null; settings: ChatSettings };
  /** Ids of answers on their way, by conversation. */
  answering: Record<string, string>;
  storageFull: boolean;
}

const EMPTY_DRAFT: ChatState["draft"] = { model: null, settings: DEFAULT_SETTINGS };

export const useChat = create<ChatState>(() => ({
  conversations: loadConversations(),
  openId: null,
  draft: EMPTY_DRAFT,
  answering: {},
  storageFull: false,
}));

watchStorage((id, conversation) => {
  // Ours is newer while we write it.
  if (useChat.getState().answering[id]) return;
  if (conversation) put(conversation);
  else forget(id);
});

function put(conversation: Conversation): void {
  useChat.setState((old) => ({ conversations: { ...old.conversations, [conversation.id]: conversation } }));
}

function forget(id: string): void {
  useChat.setState((old) => {
    const { [id]: _, ...conversations } = old.conversations;
    return { conversations, openId: old.openId === id ? null : old.openId };
  });
}

export function openChat(id: string | null): void {
  useChat.setState(id === null ? { openId: null, draft: EMPTY_DRAFT } : { openId: id });
}

/** The open conversation, made of the draft if there is none yet. */
export function openOrBegin(): Conversation {
  const { openId, conversations, draft } = useChat.getState();
  const open = openId === null ? undefined : conversations[openId];
  if (open) return open;
  const begun = newConversation(newId(), Date.now(), draft.settings);
  put(begun);
  useChat.setState({ openId: begun.id });
  return begun;
}

export function change(id: string, how: (old: Conversation) => Conversation, keep = true): void {
  const old = useChat.getState().conversations[id];
  if (!old) return;
  const next = how(old);
  put(next);
  if (keep) useChat.setState({ storageFull: !saveConversation(next) });
}

export function deleteChat(id: string): void {
  forget(id);
  removeConversation(id);
}

export function chooseModel(model: string): void {
  const { openId } = useChat.getState();
  if (openId) change(openId, (old) => ({ ...old, model }));
  else useChat.setState((old) => ({ draft: { ...old.draft, model } }));
}

export function changeSettings(changed: Partial<ChatSettings>): void {
  const { openId } = useChat.getState();
  if (openId) change(openId, (old) => ({ ...old, settings: { ...old.settings, ...changed } }));
  else useChat.setState((old) => ({ draft: { ...old.draft, settings: { ...old.draft.settings, ...changed } } }));
}

/** `crypto.randomUUID` exists over https and on localhost only; Roundhouse is often neither. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
