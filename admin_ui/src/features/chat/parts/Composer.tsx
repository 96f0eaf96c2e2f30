import { ActionIcon, Textarea, Tooltip } from "@mantine/core";
import { IconArrowUp, IconPlayerStopFilled } from "@tabler/icons-react";
import { useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { Notice } from "@/ui/Notice";

import { sendMessage, stopAnswer } from "../state/answering";
import type { OpenChat } from "../state/useOpenChat";
import styles from "./Composer.module.css";
import { ModelPicker } from "./ModelPicker";

export function Composer({ chat }: { chat: OpenChat }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const { choice, answering, conversation, loading } = chat;
  const sendable = text.trim() !== "" && choice.entry !== null && !answering;
  const gone = choice.name !== null && choice.entry === null && !loading && chat.failure === null;

  const send = () => {
    if (!sendable || !choice.entry) return;
    sendMessage(text.trim(), choice.entry.name);
    setText("");
  };
  const press = (event: KeyboardEvent) => {
    // While an input method composes (Chinese, Japanese …), Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };

  return (
    <div className={styles.dock}>
      <div className={styles.column}>
        {gone && <Notice tone="wait">{t("picker.gone", { name: choice.name ?? "" })}</Notice>}
        <form
          className={styles.composer}
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <Textarea
            aria-label={t("chat.composer")}
            placeholder={
              choice.entry ? t("chat.placeholder", { model: choice.entry.name }) : t("chat.placeholderNone")
            }
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            onKeyDown={press}
            variant="unstyled"
            classNames={{ input: styles.input ?? "" }}
            autosize
            minRows={1}
            maxRows={10}
            autoFocus
          />
          <div className={styles.bar}>
            <ModelPicker catalog={chat.catalog} choice={choice} />
            {answering && conversation ? (
              <Tooltip label={t("chat.stop")}>
                <ActionIcon variant="filled" color="gray" aria-label={t("chat.stop")} onClick={() => stopAnswer(conversation.id)}>
                  <IconPlayerStopFilled size={16} />
                </ActionIcon>
              </Tooltip>
            ) : (
              <Tooltip label={t("chat.send")}>
                <ActionIcon type="submit" variant="filled" color="accent" aria-label={t("chat.send")} disabled={!sendable}>
                  <IconArrowUp size={18} stroke={2.25} />
                </ActionIcon>
              </Tooltip>
            )}
          </div>
        </form>
        <p className={styles.hint} data-simulated={choice.entry?.simulated}>
          {choice.entry?.simulated ? t("simulated.note") : t("chat.hint")}
        </p>
      </div>
    </div>
  );
}
