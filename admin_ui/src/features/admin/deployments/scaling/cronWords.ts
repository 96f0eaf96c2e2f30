import cronstrue from "cronstrue";
import "cronstrue/locales/zh_CN.js";

const FIELDS = 5;

/** "0 8 * * 1-5" → "At 08:00, Monday through Friday"; null where that is not five fields that say when. PURE. */
export function cronWords(cron: string, language: string): string | null {
  const chinese = language.startsWith("zh");
  if (cron.trim().split(/\s+/).length !== FIELDS) return null;
  try {
    const words = cronstrue.toString(cron.trim(), { use24HourTimeFormat: true, locale: chinese ? "zh_CN" : "en" });
    return chinese ? words.replaceAll(", ", "，") : words;
  } catch {
    return null;
  }
}
