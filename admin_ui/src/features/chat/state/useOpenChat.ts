/** The open chat and the models it speaks to, as the parts of the page need them. */
import { useMemo } from "react";

import { toFailure, type Failure } from "@/api/errors";
import { useCatalog } from "@/api/queries";
import type { CatalogView, Message } from "@/api/types";

import type { Asked } from "./answering";
import { choose, type Choice } from "./choice";
import type { Conversation } from "./conversation";
import { useHeads } from "./library";
import { useChat } from "./store";
import { branchOf } from "./tree";

/** Stays the same object while an answer is drawn. */
export interface Models {
  catalog: CatalogView[];
  choice: Choice;
  /** The model beside it, where two are asked. */
  other: Choice | null;
  /** Whom a message goes to; none while a model is missing. */
  asked: Asked[];
  /** They are not known yet. */
  pending: boolean;
  failure: Failure | null;
}

export interface OpenChat {
  /** The draft while nothing has been said; undefined while it is fetched. */
  conversation: Conversation | undefined;
  /** The messages that are shown. */
  branch: Message[];
  models: Models;
  /** An answer is on its way. */
  answering: boolean;
}

const NONE: CatalogView[] = [];

export function useOpenChat(): OpenChat {
  const conversation = useConversation();
  const answering = useChat((state) => state.openId !== null && Object.values(state.answering).includes(state.openId));
  const models = useModels(conversation?.model ?? null, conversation?.other_model ?? null);
  return { conversation, branch: useBranch(conversation), models, answering };
}

export function useConversation(): Conversation | undefined {
  return useChat(({ openId, conversations, draft }) => (openId === null ? draft : conversations[openId]));
}

export function useBranch(conversation: Conversation | undefined): Message[] {
  return useMemo(() => (conversation ? branchOf(conversation) : []), [conversation]);
}

function useModels(model: string | null, otherModel: string | null): Models {
  const { data, error, isPending: pending } = useCatalog();
  const lastUsed = useHeads().data?.[0]?.model ?? null;
  return useMemo(() => {
    const catalog = data ?? NONE;
    const choice = choose(catalog, model, lastUsed);
    const other = otherModel === null ? null : choose(catalog, otherModel, null);
    const asked = askedOf(other ? [choice, other] : [choice]);
    return { catalog, choice, other, asked, pending, failure: data || !error ? null : toFailure(error) };
  }, [data, error, pending, model, otherModel, lastUsed]);
}

function askedOf(choices: Choice[]): Asked[] {
  const entries = choices.map(({ entry }) => entry).filter((each) => each !== null);
  if (entries.length < choices.length) return [];
  return entries.map(({ name, max_model_len }) => ({ name, modelTokens: max_model_len }));
}
