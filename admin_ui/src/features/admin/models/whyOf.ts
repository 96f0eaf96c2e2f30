import type { ModelView } from "@/api/types";
import type { Say } from "@/i18n/useSay";

/** Why a model is as it is, or what is being done with it. */
export function whyOf({ reason, sentences, progress }: ModelView, say: Say): string | undefined {
  const doing = progress && say(progress.phase, progress.sentences["phase"]);
  return say(reason, sentences["reason"]) || doing || undefined;
}
