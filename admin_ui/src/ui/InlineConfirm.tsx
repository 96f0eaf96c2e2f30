import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { Failure } from "@/api/errors";

import { FailureNotice } from "./FailureNotice";
import styles from "./InlineConfirm.module.css";
import { onEscape } from "./onEscape";

interface Props {
  question: string;
  action: string;
  busy?: boolean;
  failure?: Failure | null;
  onConfirm: () => void;
  onCancel: () => void;
}

/** A question in the place of what it is about. Focus starts on Cancel. */
export function InlineConfirm({ question, action, busy = false, failure, onConfirm, onCancel }: Props) {
  const { t } = useTranslation();
  return (
    <div
      className={styles.confirm}
      role="group"
      aria-label={question}
      onKeyDown={onEscape(onCancel)}
    >
      <span className={styles.question}>{question}</span>
      <span className={styles.buttons}>
        <Button variant="default" onClick={onCancel} autoFocus>
          {t("common.cancel")}
        </Button>
        <Button className={styles.danger} onClick={onConfirm} loading={busy}>
          {action}
        </Button>
      </span>
      {failure && <FailureNotice failure={failure} />}
    </div>
  );
}
