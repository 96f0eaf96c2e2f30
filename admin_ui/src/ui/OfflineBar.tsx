import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { useLive } from "@/api/live";

import styles from "./OfflineBar.module.css";

/** A reconnect within this time is nobody's business. */
const PATIENCE_MS = 1500;

/** Says that what is on screen may be old, while the event stream is down. */
export function OfflineBar() {
  const { t } = useTranslation();
  const connected = useLive((state) => state.connected);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (connected) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [connected]);
  return shown ? (
    <div className={styles.bar} role="status">
      {t("app.offline")}
    </div>
  ) : null;
}
