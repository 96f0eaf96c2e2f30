import { useTranslation } from "react-i18next";

import { CopyButton } from "@/ui/CopyButton";

import type { Message } from "../state/conversation";
import styles from "./Thread.module.css";

export function Question({ message }: { message: Message }) {
  const { t } = useTranslation();
  return (
    <li>
      <article className={styles.question} aria-label={t("chat.you")}>
        <div className={styles.said}>{message.content}</div>
        <div className={styles.actions}>
          <CopyButton text={() => message.content} label={t("chat.copyMessage")} />
        </div>
      </article>
    </li>
  );
}
