import { Button } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { memo, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { CatalogView, Message } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";

import { separateThought } from "../stream/thought";
import { AnswerFoot } from "./AnswerFoot";
import { Markdown } from "./Markdown";
import styles from "./Thread.module.css";
import { Waiting } from "./Waiting";

interface Props {
  message: Message;
  writing: boolean;
  /** Its model as it is now; null: not deployed any more. */
  entry: CatalogView | null;
  onRegenerate: (() => void) | undefined;
  onContinue: (() => void) | undefined;
  /** Of two side by side. */
  pick: { picked: boolean; onPick: () => void } | undefined;
  children: ReactNode;
}

export function Answer({ message, writing, entry, onRegenerate, onContinue, pick, children }: Props) {
  const { t } = useTranslation();
  const { failure, finish } = message;
  const { content, reasoning } = separateThought(message);
  const state = writing ? "writing" : failure ? "failed" : "done";
  return (
    <article className={styles.answer} aria-label={t("chat.answer")} aria-busy={writing} data-testid="answer" data-state={state}>
      {reasoning && <Thought text={reasoning} open={writing && content === ""} />}
      {content && (
        <div data-testid="answer-text">
          <Markdown text={content} writing={writing} />
        </div>
      )}
      {writing && !content && !reasoning && <Waiting model={message.model} since={message.created_at} entry={entry} />}
      {!writing && !content && !failure && (
        <p className={styles.note}>{t(finish === "stopped" ? "chat.stopped" : finish ? "chat.emptyAnswer" : "chat.interrupted")}</p>
      )}
      {failure && (
        <FailureNotice
          failure={{ ...failure, retryAfterS: (failure.status === 503 && entry?.retry_after_s) || null }}
          advice={failure.status === 503 && entry?.status === "ready" ? "readyNow" : undefined}
          onRetry={onRegenerate}
        />
      )}
      <AnswerFoot message={message} writing={writing} onRegenerate={onRegenerate} onContinue={onContinue}>
        {children}
      </AnswerFoot>
      {pick && !writing && (
        <Button
          className={styles.pick}
          variant={pick.picked ? "light" : "default"}
          aria-pressed={pick.picked}
          leftSection={pick.picked && <IconCheck size={14} stroke={2} />}
          onClick={pick.onPick}
        >
          {t(pick.picked ? "chat.picked" : "chat.pick")}
        </Button>
      )}
    </article>
  );
}

const Thought = memo(function Thought({ text, open }: { text: string; open: boolean }) {
  const { t } = useTranslation();
  return (
    <details className={styles.thought} open={open}>
      <summary>{open ? t("chat.thinking") : t("chat.thought")}</summary>
      <div data-testid="thought">{text}</div>
    </details>
  );
});
