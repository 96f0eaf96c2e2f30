import { useTranslation } from "react-i18next";

import type { DeploymentView } from "@/api/types";

import styles from "./scaling.module.css";

interface Props {
  deployment: DeploymentView;
  wanted: number;
  byHand: boolean;
}

/** The number there is, the one there should be, and who says so. */
export function Present({ deployment, wanted, byHand }: Props) {
  const { t } = useTranslation();
  const { ready_replicas: ready, scaling } = deployment;
  const decides = byHand ? t("scaling.byHand") : t(scaling ? "scaling.now.follows" : "scaling.now.fixed");
  return (
    <dl className={styles.present} aria-label={t("scaling.now.label")}>
      <div>
        <dt>{t("scaling.now.ready")}</dt>
        <dd>{ready}</dd>
      </div>
      <div>
        <dt>{t("scaling.now.wanted")}</dt>
        <dd>
          {wanted} <span>{decides}</span>
        </dd>
      </div>
    </dl>
  );
}
