import { IconAlertCircle, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";

import styles from "./Notice.module.css";

interface Props {
  tone: "bad" | "wait" | "info";
  title?: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
}

/** Said in place, where it happened. */
export function Notice({ tone, title, children, actions }: Props) {
  const Icon = tone === "info" ? IconInfoCircle : IconAlertCircle;
  return (
    <div className={styles.notice} data-tone={tone} role={tone === "info" ? "status" : "alert"}>
      <Icon size={18} stroke={1.75} className={styles.icon} aria-hidden />
      <div className={styles.words}>
        {title && <div className={styles.title}>{title}</div>}
        {children && <div>{children}</div>}
        {actions && <div className={styles.actions}>{actions}</div>}
      </div>
    </div>
  );
}
