import { ActionIcon, Tooltip } from "@mantine/core";
import { IconPlayerTrackNext, IconRefresh } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { CopyButton } from "@/ui/CopyButton";
import { shortDigest } from "@/ui/shortDigest";

import { tokensPerSecond } from "../state/conversation";
import styles from "./Thread.module.css";

interface Props {
  message: Message;
  writing: boolean;
  onRegenerate: (() => void) | undefined;
  onContinue: (() => void) | undefined;
  children: ReactNode;
}

/** Which model and revision answered and how fast, from the first token on; and what may be done with the answer. */
export function AnswerFoot({ message, writing, onRegenerate, onContinue, children }: Props) {
  const { t } = useTranslation();
  const facts = useFacts(message);
  const { content, finish } = message;
  const cutShort = content !== "" && finish !== "complete";
  return (
    <footer className={styles.foot}>
      {children}
      <span data-testid="answer-stats">
        <span className={styles.model}>{message.model}</span>
        {facts.map((fact) => ` · ${fact}`)}
        {message.revision && (
          <span title={message.revision}> · {t("chat.stats.revision", { digest: shortDigest(message.revision) })}</span>
        )}
      </span>
      {!writing && (
        <span className={styles.actions} data-shown={onRegenerate !== undefined}>
          {content && <CopyButton text={() => content} label={t("chat.copyMessage")} />}
          {onContinue && cutShort && (
            <Tooltip label={t("chat.continue")}>
              <ActionIcon size={28} aria-label={t("chat.continue")} onClick={onContinue}>
                <IconPlayerTrackNext size={16} stroke={1.75} />
              </ActionIcon>
            </Tooltip>
          )}
          {onRegenerate && !message.failure && (
            <Tooltip label={t("chat.regenerate")}>
              <ActionIcon size={28} aria-label={t("chat.regenerate")} onClick={onRegenerate}>
                <IconRefresh size={16} stroke={1.75} />
              </ActionIcon>
            </Tooltip>
          )}
        </span>
      )}
    </footer>
  );
}

function useFacts({ stats, finish, content }: Message): string[] {
  const { t } = useTranslation();
  const format = useFormat();
  const facts: string[] = [];
  if (stats) {
    const { completion_tokens: tokens, duration_s: durationS, ttft_s: ttftS } = stats;
    const rate = tokensPerSecond(stats);
    if (rate !== null) facts.push(t("chat.stats.rate", { rate: format.number(rate, rate < 10 ? 1 : 0) }));
    if (ttftS !== null) facts.push(t("chat.stats.first", { time: format.duration(ttftS) }));
    else facts.push(t("chat.stats.total", { time: format.duration(durationS) }));
    if (tokens !== null) facts.push(t("chat.stats.tokens", { n: format.number(tokens) }));
  }
  if (finish === "length") facts.push(t("chat.stats.cutByLength"));
  if (finish === "stopped" && content) facts.push(t("chat.stopped"));
  return facts;
}
