/** The way of chats and templates to the server and back. */
import { api, csrfHeaders, expectData } from "@/api/client";
import type { ChatBody, ChatChange, ChatHeadView, ChatImport, ChatView, TemplateBody, TemplateView } from "@/api/types";

import type { Conversation } from "./conversation";

const at = (chat_id: string) => ({ params: { path: { chat_id } } });

export async function fetchHeads(search = ""): Promise<ChatHeadView[]> {
  return expectData(await api.GET("/api/v1/chats", { params: { query: { search } } }));
}

export async function fetchChat(id: string): Promise<ChatView> {
  return expectData(await api.GET("/api/v1/chats/{chat_id}", at(id)));
}

export async function putChat(chat: Conversation): Promise<ChatHeadView> {
  return expectData(await api.PUT("/api/v1/chats/{chat_id}", { ...at(chat.id), body: bodyOf(chat) }));
}

/** The same of a page that may be gone before the answer comes. Browsers send some 64 kB so; throws for more. */
export async function putChatOnLeaving(chat: Conversation): Promise<ChatHeadView> {
  const response = await fetch(`/api/v1/chats/${encodeURIComponent(chat.id)}`, {
    method: "PUT",
    keepalive: true,
    headers: { ...csrfHeaders(), "content-type": "application/json" },
    body: JSON.stringify(bodyOf(chat)),
  });
  return expectData({ response, ...(response.ok ? { data: (await response.json()) as ChatHeadView } : {}) });
}

function bodyOf({ version, title, model, messages, leaf, other_model, settings }: Conversation): ChatBody {
  return { version, title, model, text: { messages, leaf, other_model, settings } };
}

export async function patchChat(id: string, body: ChatChange): Promise<ChatHeadView> {
  return expectData(await api.PATCH("/api/v1/chats/{chat_id}", { ...at(id), body }));
}

export async function removeChat(id: string): Promise<void> {
  expectData(await api.DELETE("/api/v1/chats/{chat_id}", at(id)));
}

/** `body` is what a file says: the server judges it. */
export async function importChat(body: unknown): Promise<ChatHeadView> {
  return expectData(await api.POST("/api/v1/chats", { body: body as ChatImport }));
}

export function exportUrl(id: string, format: "json" | "markdown"): string {
  return `/api/v1/chats/${encodeURIComponent(id)}/export?format=${format}`;
}

export async function fetchTemplates(): Promise<TemplateView[]> {
  return expectData(await api.GET("/api/v1/templates"));
}

/** `body` may be what a file says: the server judges it. */
export async function addTemplates(body: TemplateBody[]): Promise<TemplateView[]> {
  return expectData(await api.POST("/api/v1/templates", { body }));
}

export async function putTemplate(template_id: string, body: TemplateBody): Promise<TemplateView> {
  return expectData(await api.PUT("/api/v1/templates/{template_id}", { params: { path: { template_id } }, body }));
}

export async function removeTemplate(template_id: string): Promise<void> {
  expectData(await api.DELETE("/api/v1/templates/{template_id}", { params: { path: { template_id } } }));
}
