import { Button } from "@mantine/core";
import { IconArrowDown } from "@tabler/icons-react";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { regenerate } from "../state/answering";
import type { Choice } from "../state/choice";
import type { Conversation } from "../state/conversation";
import { useChat } from "../state/store";
import { Answer } from "./Answer";
import { Question } from "./Question";
import styles from "./Thread.module.css";

/** Within this many pixels of the end the view follows what is written. */
const NEAR_END = 48;

interface Props {
  conversation: Conversation;
  choice: Choice;
}

export function Thread({ conversation, choice }: Props) {
  const { t } = useTranslation();
  const writing = useChat((state) => state.answering[conversation.id]);
  const view = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const { messages } = conversation;
  const scrollToEnd = () => {
    if (view.current) view.current.scrollTop = view.current.scrollHeight;
  };

  useLayoutEffect(() => {
    if (following) scrollToEnd();
  }, [messages, following]);
  // A new question is always followed, wherever the reader was.
  useEffect(() => setFollowing(true), [messages.length]);

  const model = choice.entry?.name;
  return (
    <div className={styles.frame}>
      <div
        className={styles.view}
        ref={view}
        onScroll={({ currentTarget: box }) =>
          setFollowing(box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END)
        }
      >
        <ol className={styles.column} aria-label={t("chat.conversation")} aria-busy={Boolean(writing)}>
          {messages.map((message, index) =>
            message.role === "user" ? (
              <Question key={message.id} message={message} />
            ) : (
              <Answer
                key={message.id}
                message={message}
                writing={message.id === writing}
                status={choice.entry?.name === message.model ? choice.entry?.status : undefined}
                onRegenerate={
                  index === messages.length - 1 && model ? () => regenerate(conversation.id, model) : undefined
                }
              />
            ),
          )}
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
        {!writing && messages.at(-1)?.stats && t("chat.finished")}
      </div>
    </div>
  );
}
