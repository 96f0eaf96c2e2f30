import { useMemo } from "react";

import { useFormat } from "@/i18n/useFormat";

import type { Unit } from "./chartLines";

/** Figures with their units, in the language of the page. */
export function useUnits(): Record<Unit, (value: number) => string> {
  const format = useFormat();
  return useMemo(
    () => ({
      number: (value) => format.number(value, value < 10 ? 2 : value < 100 ? 1 : 0),
      seconds: (value) => (value > 0 && value < 1 ? `${format.number(value * 1000)} ms` : `${format.number(value, value < 10 ? 1 : 0)} s`),
      bytes: format.memory,
      share: (value) => `${format.number(value * 100)} %`,
    }),
    [format],
  );
}
