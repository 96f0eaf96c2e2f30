import { Button } from "@mantine/core";
import { IconArrowDown } from "@tabler/icons-react";
import { Fragment, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { measure } from "../state/context";
import { keepSame, turnsOf, type Turn } from "../state/tree";
import type { OpenChat } from "../state/useOpenChat";
import { AnswerRound } from "./AnswerRound";
import { Question } from "./Question";
import styles from "./Thread.module.css";

/** Within this many pixels of the end the view follows what is written. */
const NEAR_END = 48;

export function Thread({ chat }: { chat: OpenChat }) {
  const { t } = useTranslation();
  const { branch, conversation, models, answering } = chat;
  const turns = useTurns(chat);
  const view = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const scrollToEnd = () => {
    if (view.current) view.current.scrollTop = view.current.scrollHeight;
  };
  const messages = conversation?.messages;
  useLayoutEffect(() => {
    if (following) scrollToEnd();
  }, [messages, following]);
  // A new question is always followed, wherever the reader was.
  useEffect(() => setFollowing(true), [branch.length]);
  const folded = useFolded(chat);

  return (
    <div className={styles.frame}>
      <div
        className={styles.view}
        ref={view}
        onScroll={({ currentTarget: box }) =>
          setFollowing(box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END)
        }
      >
        <ol className={styles.column} aria-label={t("chat.conversation")} aria-busy={answering}>
          {turns.map((turn, index) => (
            <Fragment key={turn.message.id}>
              {folded > 0 && index === folded && <li className={styles.fold}>{t("chat.folded", { n: folded })}</li>}
              {turn.message.role === "user" ? (
                <Question turn={turn} asked={models.asked} answering={answering} />
              ) : (
                <AnswerRound
                  turn={turn}
                  chatId={conversation?.id ?? ""}
                  models={models}
                  free={!answering && index === turns.length - 1}
                />
              )}
            </Fragment>
          ))}
        </ol>
      </div>
      {!following && (
        <Button
          className={styles.latest}
          variant="default"
          leftSection={<IconArrowDown size={14} stroke={2} />}
          onClick={scrollToEnd}
        >
          {t("chat.toLatest")}
        </Button>
      )}
      <div className="visually-hidden" role="status">
        {!answering && branch.at(-1)?.stats && models.choice.name && t("chat.finished")}
      </div>
    </div>
  );
}

/** The shown messages; those that did not change stay the same objects, and are not drawn again. */
function useTurns({ branch, conversation }: OpenChat): Turn[] {
  const before = useRef<Turn[]>([]);
  return useMemo(() => {
    before.current = keepSame(before.current, turnsOf(conversation?.messages ?? [], branch));
    return before.current;
  }, [branch, conversation?.messages]);
}

/** How many of the shown messages the next question will not bring along. */
function useFolded({ branch, conversation, models, answering }: OpenChat): number {
  const settings = conversation?.settings;
  const modelTokens = models.choice.entry?.max_model_len ?? null;
  // While an answer grows, the line stays where it was for its question.
  const settled = useRef(0);
  return useMemo(() => {
    if (!answering && settings) settled.current = measure(branch, settings, modelTokens).folded;
    return settled.current;
  }, [answering, branch, settings, modelTokens]);
}
