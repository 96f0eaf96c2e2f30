import { memo } from "react";
import { useTranslation } from "react-i18next";

import { continueAnswer, regenerate } from "../state/answering";
import { chooseBranch, chooseRound } from "../state/library";
import { useChat } from "../state/store";
import type { Turn } from "../state/tree";
import type { Models } from "../state/useOpenChat";
import { Answer } from "./Answer";
import { BranchSwitch } from "./BranchSwitch";
import styles from "./Thread.module.css";

interface Props {
  /** With the answer on the shown branch. */
  turn: Turn;
  chatId: string;
  models: Models;
  /** It can be gone on with: nothing follows it, and nothing is written. */
  free: boolean;
}

/** An answer, or the answers of two models side by side; one of them is what the chat goes on with. */
export const AnswerRound = memo(function AnswerRound({ turn, chatId, models, free }: Props) {
  const { t } = useTranslation();
  const answering = useChat((state) => state.answering);
  const { message, round, at, of } = turn;
  const { catalog, asked } = models;
  const entryOf = (model: string) => catalog.find((each) => each.name === model) ?? null;
  const again = () => message.parent !== null && regenerate(chatId, message.parent, asked);
  return (
    <li className={styles.round} data-columns={round.length}>
      {round.map((each) => (
        <Answer
          key={each.id}
          message={each}
          writing={each.id in answering}
          entry={entryOf(each.model)}
          onRegenerate={free && asked.length > 0 ? again : undefined}
          onContinue={free && entryOf(each.model) ? () => continueAnswer(chatId, each.id, entryOf(each.model)?.max_model_len ?? null) : undefined}
          pick={round.length > 1 ? { picked: each.id === message.id, onPick: () => chooseBranch(each.id) } : undefined}
        >
          {each.id === round[0]?.id && (
            <BranchSwitch label={t("chat.answer")} at={at} of={of} onSwitch={(to) => chooseRound(message, to)} />
          )}
        </Answer>
      ))}
    </li>
  );
});
