import { Tooltip } from "@mantine/core";
import { useTranslation } from "react-i18next";

import styles from "./SimulatedBadge.module.css";

/** Loud on purpose: nobody shall take made-up answers for a model's. */
export function SimulatedBadge() {
  const { t } = useTranslation();
  return (
    <Tooltip label={t("simulated.note")}>
      <span className={styles.badge}>{t("simulated.badge")}</span>
    </Tooltip>
  );
}
