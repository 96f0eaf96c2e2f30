/** The list of chats, and what may be done to one of them without its text. */
import { useQuery } from "@tanstack/react-query";

import { queryClient } from "@/api/queryClient";
import type { ChatChange, ChatHeadView, Message } from "@/api/types";

import { stopAnswers } from "./answering";
import { fetchHeads, patchChat, removeChat } from "./api";
import { catchUp, HEADS_KEY, isUnsaved, keep, noteHead } from "./saving";
import { changeChat, changeOpen, conversation, forget, isAnswering, settingsOf, show, useChat } from "./store";
import { showBranch, type Conversation } from "./conversation";
import { roundsOf } from "./tree";

/** How often another device's chats are looked for while the page is in sight. */
const LOOK_MS = 30_000;

export function useHeads() {
  return useQuery({
    queryKey: HEADS_KEY,
    queryFn: async () => {
      const heads = await fetchHeads();
      await followOthers(heads);
      return heads;
    },
    refetchInterval: LOOK_MS,
    refetchOnWindowFocus: "always",
  });
}

export function useFound(words: string) {
  return useQuery({
    queryKey: [...HEADS_KEY, "search", words],
    queryFn: () => fetchHeads(words),
    enabled: words !== "",
    staleTime: 0,
  });
}

/** Show a chat, fetched first if this page does not have it; null begins a new one. */
export async function openChat(id: string | null): Promise<void> {
  show(id);
  if (id !== null && !conversation(id)) {
    await catchUp(id);
    if (!conversation(id) && useChat.getState().openId === id) show(null);
  }
}

export async function describeChat(id: string, change: ChatChange): Promise<void> {
  const head = await patchChat(id, change);
  noteHead(head);
  changeChat(id, (old) => ({ ...old, title: head.title }));
}

export async function deleteChat(id: string): Promise<void> {
  stopAnswers(id);
  await removeChat(id);
  forget(id);
  queryClient.setQueryData<ChatHeadView[]>(HEADS_KEY, (old) => old?.filter((each) => each.id !== id));
}

/** A change to what is shown or sent of the open chat: kept like its words. */
export function adjust(how: (old: Conversation) => Conversation): void {
  changeOpen(how);
  const { openId } = useChat.getState();
  if (openId !== null) keep(openId);
}

export const chooseModel = (model: string) => adjust((old) => ({ ...old, model }));
export const chooseOtherModel = (other_model: string | null) => adjust((old) => ({ ...old, other_model }));
export const changeSettings = (changed: Parameters<typeof settingsOf>[0]) => adjust(settingsOf(changed));
/** Another of the alternatives to a message, by its place among them. */
export const chooseRound = (message: Message, at: number) =>
  adjust((old) => {
    const chosen = roundsOf(old.messages, message)[at]?.[0];
    return chosen ? showBranch(old, chosen.id) : old;
  });
export const chooseBranch = (id: string) => adjust((old) => showBranch(old, id));

/** Chats that this page has and that another page or device has written since. */
async function followOthers(heads: ChatHeadView[]): Promise<void> {
  const newer = heads.filter(({ id, version }) => {
    const ours = conversation(id);
    return ours && ours.version > 0 && ours.version < version && !isUnsaved(id) && !isAnswering(id);
  });
  await Promise.all(newer.map(({ id }) => catchUp(id)));
}
