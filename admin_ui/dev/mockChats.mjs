// Chats and templates of the make-believe Roundhouse, one person's, in memory. No bounds and no checks of what is sent.
import { randomBytes } from "node:crypto";

const chats = new Map();
const templates = new Map();
const newId = () => randomBytes(12).toString("hex");
const gone = () => [404, { error: { code: "chat_gone", message: "This chat is not there any more." } }];

function put(id, { version, title, model, text }) {
  const old = chats.get(id)?.head;
  if ((old?.version ?? 0) !== version)
    return [409, { error: { code: "chat_changed", message: "This chat was changed elsewhere meanwhile. Read it again." } }];
  const now = Date.now() / 1000;
  const fresh = { id, title, folder: "", pinned: false, created_at: now };
  const size_bytes = JSON.stringify(text).length;
  const snippet = text.messages.at(-1)?.content.slice(0, 120) ?? "";
  const head = { ...(old ?? fresh), model, snippet, updated_at: now, version: version + 1, size_bytes };
  chats.set(id, { head, text });
  return [200, head];
}

function list(search) {
  const all = [...chats.values()].sort((a, b) => b.head.updated_at - a.head.updated_at);
  const words = search.toLowerCase();
  return all.filter((each) => JSON.stringify(each).toLowerCase().includes(words)).map((each) => each.head);
}

/** The answer to a request for /api/v1/chats… or /api/v1/templates…: status and body. undefined: not ours. */
export function handleChats(method, url, body) {
  const [noun, id] = url.pathname.slice("/api/v1/".length).split("/");
  if (noun === "templates") return handleTemplates(method, id, body);
  if (noun !== "chats") return undefined;
  if (!id) return [200, list(url.searchParams.get("search") ?? "")];
  if (method === "PUT") return put(id, body);
  const chat = chats.get(id);
  if (!chat) return gone();
  if (method === "DELETE") return chats.delete(id) && [204];
  if (method === "PATCH") return [200, Object.assign(chat.head, body)];
  return [200, chat];
}

function handleTemplates(method, id, body) {
  if (method === "DELETE") return templates.delete(id) && [204];
  if (method === "PUT") templates.set(id, { ...body, id, updated_at: 0 });
  if (method === "POST") for (const each of body) templates.set(newId(), each);
  return [200, [...templates].map(([key, each]) => ({ ...each, id: key }))];
}
