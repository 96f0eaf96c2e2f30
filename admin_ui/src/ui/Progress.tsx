import { useTranslation } from "react-i18next";

import type { ProgressView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";

import styles from "./Progress.module.css";

/** How far long work is: bar, amounts, time left. */
export function Progress({ progress, label }: { progress: ProgressView; label: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { done, total, unit, eta_s: left } = progress;
  const amount = unit === "seconds" ? format.duration : format.bytes;
  const words =
    total === 0
      ? t("admin.models.sizeUnknown", { done: amount(done) })
      : t("admin.models.progress", { done: amount(done), total: amount(total) });
  return (
    <span className={styles.progress}>
      <progress className={styles.bar} max={total || undefined} value={total ? done : undefined} aria-label={label} />
      <span className={styles.words}>
        {words}
        {left !== null && ` · ${t("common.left", { time: format.duration(Math.max(1, Math.round(left))) })}`}
      </span>
    </span>
  );
}
