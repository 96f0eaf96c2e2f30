/** The server's sentences in other languages than its own English, loaded by whoever speaks one. */
import i18next from "i18next";

import type { SentenceView } from "@/api/types";

async function load(language: string): Promise<void> {
  if (language !== "zh-CN") return;
  try {
    const { default: zh } = await import("./sentences.zh.json");
    const sentence = zh satisfies Record<SentenceView["code"], string>;
    i18next.addResourceBundle("zh-CN", "translation", { sentence }, true);
  } catch {
    // They could not be fetched: pages show the server's English.
  }
}

i18next.on("languageChanged", (language) => void load(language));

/** A page, once it has them. */
export async function withSentences<Page>(page: Promise<Page>): Promise<Page> {
  await load(i18next.language);
  return page;
}
