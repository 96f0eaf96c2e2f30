/** The pure formats of `format.ts`, in the language of the page. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import {
  formatAge,
  formatAgo,
  formatBytes,
  formatCompact,
  formatContext,
  formatDuration,
  formatMemory,
  formatNumber,
  formatTime,
} from "./format";

export function useFormat() {
  const language = useTranslation().i18n.language;
  return useMemo(
    () => ({
      number: (value: number, digits = 0) => formatNumber(value, language, digits),
      compact: (value: number) => formatCompact(value, language),
      bytes: (value: number) => formatBytes(value, language),
      memory: (value: number) => formatMemory(value, language),
      context: (tokens: number) => formatContext(tokens, language),
      duration: (seconds: number) => formatDuration(seconds, language),
      age: (fromUnixS: number, nowUnixS: number) => formatAge(fromUnixS, nowUnixS, language),
      ago: (fromUnixS: number, nowUnixS: number) => formatAgo(fromUnixS, nowUnixS, language),
      time: (unixS: number) => formatTime(unixS, language),
    }),
    [language],
  );
}
