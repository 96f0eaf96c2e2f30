import { useTranslation } from "react-i18next";

import styles from "./Centre.module.css";

export function Loading() {
  const { t } = useTranslation();
  return (
    <div className={styles.centre} role="status">
      <span className={styles.quiet}>{t("app.loading")}</span>
    </div>
  );
}
