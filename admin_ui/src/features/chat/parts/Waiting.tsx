import { useTranslation } from "react-i18next";

import type { CatalogView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { Countdown } from "@/ui/Countdown";
import { useNow } from "@/ui/useNow";

import styles from "./Thread.module.css";

interface Props {
  model: string;
  /** Unix seconds. */
  since: number;
  entry: CatalogView | null;
}

/** Short waits are nobody's business. */
const PATIENCE_S = 3;

/** Before the first token: what the model is doing, how long it may take, how long it has taken. */
export function Waiting({ model, since, entry }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const waited = useNow(1000) - since;
  const status = entry?.status;
  const held = status === "starting" || status === "asleep" || status === "swapping";
  return (
    <p className={styles.waiting} role="status" data-testid="waiting">
      {status === "starting" && t("chat.waitingStart", { model })}
      {status === "asleep" && t("chat.waitingWake", { model })}
      {status === "swapping" && t("chat.waitingSwap", { model })}
      {!held && <span className={styles.breathing}>{t("chat.waiting")}</span>}
      {held && entry?.detail && ` ${say(entry.detail, entry.sentences["detail"])}`}
      {(status === "starting" || status === "asleep") && (
        <>
          {" "}
          <Countdown seconds={entry?.retry_after_s ?? 0} />
        </>
      )}
      {waited >= PATIENCE_S && ` · ${t("chat.waited", { time: format.duration(Math.round(waited)) })}`}
    </p>
  );
}
