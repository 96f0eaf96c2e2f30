/** How much of a model's context a chat takes, and what is left out when it is too much. PURE. */
import type { ChatSettings, Message } from "@/api/types";

/** Words of a chat template around each message. */
const TOKENS_A_MESSAGE = 4;
/** Of a picture: models differ widely; this is about what a 1024 px one takes in most. */
const TOKENS_A_PICTURE = 1000;
const CHARS_A_TOKEN = 4;
const TOKENS_A_CJK_CHAR = 0.7;
/** An estimate may be wrong by this much before the model would refuse the request. */
const MARGIN = 0.05;
/** Kept free for the answer where nobody said how long it may be: a quarter, and no more than this. */
const ANSWER_TOKENS = 1024;
/** Answers shorter than this in all say too little about the model's tokens. */
const CALIBRATED_TOKENS = 40;
const CJK = /[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]/gu;

/** About how many tokens a text is, without the model's vocabulary. */
export function estimateTokens(text: string): number {
  const cjk = text.match(CJK)?.length ?? 0;
  return (text.length - cjk) / CHARS_A_TOKEN + cjk * TOKENS_A_CJK_CHAR;
}

/** How many tokens the model makes of one estimated token, as its answers so far show. */
export function calibration(branch: Message[]): number {
  let counted = 0;
  let estimated = 0;
  for (const { role, content, reasoning, stats } of branch) {
    if (role !== "assistant" || !stats?.completion_tokens) continue;
    counted += stats.completion_tokens;
    estimated += estimateTokens(content) + estimateTokens(reasoning);
  }
  return counted < CALIBRATED_TOKENS || estimated === 0 ? 1 : Math.min(4, Math.max(0.25, counted / estimated));
}

export interface ContextUse {
  /** Of the messages that are sent, the system prompt among them. */
  usedTokens: number;
  /** null: not known. */
  limitTokens: number | null;
  /** How many of the oldest messages are not sent. */
  folded: number;
}

/** What of `branch` fits, and how full the context then is. The last message always goes, and the system prompt. */
export function measure(branch: Message[], settings: ChatSettings, modelTokens: number | null, draft = ""): ContextUse {
  const ratio = calibration(branch);
  const tokensOf = (text: string, pictures = 0) =>
    ratio * estimateTokens(text) + TOKENS_A_MESSAGE + pictures * TOKENS_A_PICTURE;
  const sizes = branch.map(({ content, images }) => (content || images.length ? tokensOf(content, images.length) : 0));
  const fixed = (settings.system_prompt ? tokensOf(settings.system_prompt) : 0) + (draft ? tokensOf(draft) : 0);
  const limits = [settings.context_tokens, modelTokens].filter((each) => each !== null);
  const limitTokens = limits.length ? Math.min(...limits) : null;
  let used = fixed + sizes.reduce((sum, each) => sum + each, 0);
  let folded = 0;
  if (limitTokens !== null) {
    const answer = settings.max_tokens ?? Math.min(ANSWER_TOKENS, limitTokens / 4);
    const budget = limitTokens * (1 - MARGIN) - answer;
    while (used > budget && folded < branch.length - 1) {
      used -= sizes[folded] ?? 0;
      folded += 1;
    }
    // A chat begins with a question, for templates that insist on it.
    while (folded > 0 && folded < branch.length - 1 && branch[folded]?.role === "assistant") {
      used -= sizes[folded] ?? 0;
      folded += 1;
    }
  }
  return { usedTokens: Math.round(used), limitTokens, folded };
}
