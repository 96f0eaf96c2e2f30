import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";

import { useNow } from "./useNow";

interface Props {
  /** Counted from when this number was first seen. */
  seconds: number;
}

/** "about 20 s left", counting down by itself until the server says something newer. */
export function Countdown({ seconds }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(1000);
  const [end, setEnd] = useState(now + seconds);
  useEffect(() => setEnd(Date.now() / 1000 + seconds), [seconds]);
  const left = Math.round(end - now);
  return (
    <span className="tabular">
      {left > 0 ? t("empty.about", { time: format.duration(left) }) : t("empty.almost")}
    </span>
  );
}
