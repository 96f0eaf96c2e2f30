/** What the server says, in the language of the page; in its own English where the page has no words for it. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { SentenceView } from "@/api/types";

import { worded, type Words } from "./sentence";
import { useFormat } from "./useFormat";

export function useWords(): Words {
  const { t, i18n } = useTranslation();
  return useMemo(
    () => (code, values) => {
      const key = `sentence.${code}`;
      return i18n.exists(key) ? t(key as "common.none", values) : null;
    },
    [t, i18n],
  );
}

/** `english` in other words, where there are any for `sentence`. */
export type Say = (english: string, sentence?: SentenceView | null) => string;

export function useSay(): Say {
  const words = useWords();
  const format = useFormat();
  return (english, sentence) => (sentence ? worded(sentence, words, format) : null) ?? english;
}
