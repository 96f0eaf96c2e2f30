/** Conversations in this browser's storage, one entry each. No secret is ever among them. */
import { DEFAULT_SETTINGS, type Conversation } from "./conversation";

const PREFIX = "roundhouse.chat.";

export function loadConversations(): Record<string, Conversation> {
  const found: Record<string, Conversation> = {};
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(PREFIX)) continue;
      const conversation = parse(localStorage.getItem(key));
      if (conversation) found[conversation.id] = conversation;
    }
  } catch {
    // Storage is switched off: conversations last as long as the page.
  }
  return found;
}

/** False when it could not be kept. */
export function saveConversation(conversation: Conversation): boolean {
  try {
    localStorage.setItem(PREFIX + conversation.id, JSON.stringify(conversation));
    return true;
  } catch {
    return false;
  }
}

export function removeConversation(id: string): void {
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // Nothing was kept.
  }
}

/** Tell `changed` what another tab kept or removed. */
export function watchStorage(changed: (id: string, conversation: Conversation | null) => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key?.startsWith(PREFIX)) changed(event.key.slice(PREFIX.length), parse(event.newValue));
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

function parse(text: string | null): Conversation | null {
  if (text === null) return null;
  try {
    const read = JSON.parse(text) as Conversation;
    if (typeof read.id !== "string" || !Array.isArray(read.messages)) return null;
    return { ...read, settings: { ...DEFAULT_SETTINGS, ...read.settings } };
  } catch {
    return null;
  }
}
