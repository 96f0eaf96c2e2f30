import { memo } from "react";
import { useTranslation } from "react-i18next";

import type { CatalogView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";

import type { Message } from "../state/conversation";
import { AnswerFoot } from "./AnswerFoot";
import { Markdown } from "./Markdown";
import styles from "./Thread.module.css";

interface Props {
  message: Message;
  writing: boolean;
  /** What the model is now, where it is the one that the page speaks to. */
  status: CatalogView["status"] | undefined;
  /** On the last answer only. */
  onRegenerate: (() => void) | undefined;
}

export const Answer = memo(function Answer({ message, writing, status, onRegenerate }: Props) {
  const { t } = useTranslation();
  const { content, reasoning, failure, finish } = message;
  const state = writing ? "writing" : failure ? "failed" : "done";
  return (
    <li>
      <article className={styles.answer} aria-label={t("chat.answer")} aria-busy={writing} data-testid="answer" data-state={state}>
        {reasoning && <Thought text={reasoning} open={writing && content === ""} />}
        {content && (
          <div data-testid="answer-text">
            <Markdown text={content} />
          </div>
        )}
        {writing && !content && !reasoning && <p className={styles.waiting}>{t("chat.waiting")}</p>}
        {!writing && !content && !failure && (
          <p className={styles.note}>{finish === "stopped" ? t("chat.stopped") : t("chat.emptyAnswer")}</p>
        )}
        {failure && (
          <FailureNotice
            failure={failure}
            advice={failure.status === 503 && status === "ready" ? "readyNow" : undefined}
            onRetry={onRegenerate}
          />
        )}
        {!writing && <AnswerFoot message={message} onRegenerate={onRegenerate} />}
      </article>
    </li>
  );
});

function Thought({ text, open }: { text: string; open: boolean }) {
  const { t } = useTranslation();
  return (
    <details className={styles.thought} open={open}>
      <summary>{open ? t("chat.thinking") : t("chat.thought")}</summary>
      <div>{text}</div>
    </details>
  );
}
