import { ActionIcon, Tooltip } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";
import { CopyButton } from "@/ui/CopyButton";

import { tokensPerSecond, type Message } from "../state/conversation";
import styles from "./Thread.module.css";

interface Props {
  message: Message;
  onRegenerate: (() => void) | undefined;
}

/** Actions on an answer, and how it was made. */
export function AnswerFoot({ message, onRegenerate }: Props) {
  const { t } = useTranslation();
  const facts = useFacts(message);
  return (
    <footer className={styles.foot}>
      <span data-testid="answer-stats">
        <span className={styles.model}>{message.model}</span>
        {facts.map((fact) => ` · ${fact}`)}
      </span>
      <span className={styles.actions} data-shown={onRegenerate !== undefined}>
        {message.content && <CopyButton text={() => message.content} label={t("chat.copyMessage")} />}
        {onRegenerate && !message.failure && (
          <Tooltip label={t("chat.regenerate")}>
            <ActionIcon size={28} aria-label={t("chat.regenerate")} onClick={onRegenerate}>
              <IconRefresh size={16} stroke={1.75} />
            </ActionIcon>
          </Tooltip>
        )}
      </span>
    </footer>
  );
}

function useFacts({ stats, finish, content }: Message): string[] {
  const { t } = useTranslation();
  const format = useFormat();
  const facts: string[] = [];
  if (stats) {
    const { completionTokens, durationS, ttftS } = stats;
    const rate = tokensPerSecond(stats);
    if (rate !== null) facts.push(t("chat.stats.rate", { rate: format.number(rate, rate < 10 ? 1 : 0) }));
    if (ttftS !== null) facts.push(t("chat.stats.first", { time: format.duration(ttftS) }));
    else facts.push(t("chat.stats.total", { time: format.duration(durationS) }));
    if (completionTokens !== null) facts.push(t("chat.stats.tokens", { n: format.number(completionTokens) }));
  }
  if (finish === "length") facts.push(t("chat.stats.cutByLength"));
  if (finish === "stopped" && content) facts.push(t("chat.stopped"));
  return facts;
}
