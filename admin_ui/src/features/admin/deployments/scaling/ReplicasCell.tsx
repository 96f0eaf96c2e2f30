import { useTranslation } from "react-i18next";

import type { DeploymentView, OverrideView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useNow } from "@/ui/useNow";

import { standing, wantedOf } from "./override";
import styles from "./scaling.module.css";

/** How many are ready of how many; below, what decides that, where it is not fixed. */
export function ReplicasCell({ row }: { row: DeploymentView }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const override = standing(row.override, now);
  const { scaling } = row;
  return (
    <>
      {t("admin.deployments.readyOf", { ready: row.ready_replicas, wanted: wantedOf(row, now) })}
      {override && <ByHand override={override} now={now} />}
      {scaling && !override && (
        <span className={styles.decides}>
          {t("scaling.bounds", { min: scaling.min_replicas, max: scaling.max_replicas })}
        </span>
      )}
    </>
  );
}

function ByHand({ override, now }: { override: OverrideView; now: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <>
      <span className={styles.decides}>{t("scaling.byHand")}</span>
      {override.until !== null && (
        <span className={styles.decides}>
          {t("common.left", { time: format.duration(Math.ceil(override.until - now)) })}
        </span>
      )}
    </>
  );
}
