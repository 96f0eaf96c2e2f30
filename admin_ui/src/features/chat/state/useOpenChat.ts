/** The open chat and the model it speaks to, as the parts of the page need them. */
import { useMemo } from "react";

import { toFailure, type Failure } from "@/api/errors";
import { useCatalog } from "@/api/queries";
import type { CatalogView } from "@/api/types";

import { choose, type Choice } from "./choice";
import type { ChatSettings, Conversation } from "./conversation";
import { useChat } from "./store";

export interface OpenChat {
  conversation: Conversation | null;
  settings: ChatSettings;
  catalog: CatalogView[];
  choice: Choice;
  /** An answer is on its way. */
  answering: boolean;
  loading: boolean;
  failure: Failure | null;
}

const NONE: CatalogView[] = [];

export function useOpenChat(): OpenChat {
  const query = useCatalog();
  const { openId, conversations, draft, answering } = useChat();
  const catalog = query.data ?? NONE;
  const conversation = (openId && conversations[openId]) || null;
  const lastUsed = useMemo(() => lastModel(conversations), [conversations]);
  const chosen = conversation ? conversation.model : draft.model;
  const choice = useMemo(() => choose(catalog, chosen, lastUsed), [catalog, chosen, lastUsed]);
  return {
    conversation,
    settings: conversation?.settings ?? draft.settings,
    catalog,
    choice,
    answering: conversation !== null && conversation.id in answering,
    loading: query.isPending,
    failure: query.data || !query.error ? null : toFailure(query.error),
  };
}

function lastModel(conversations: Record<string, Conversation>): string | null {
  const latest = Object.values(conversations).sort((a, b) => b.updatedAt - a.updatedAt)[0];
  return latest?.model ?? null;
}
