import { ActionIcon, Textarea, Tooltip } from "@mantine/core";
import { useCallbackRef } from "@mantine/hooks";
import { IconArrowUp, IconColumns2, IconPlayerStopFilled, IconTemplate } from "@tabler/icons-react";
import { memo, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { Notice } from "@/ui/Notice";
import { onEscape } from "@/ui/onEscape";

import { sendMessage, stopAnswers } from "../state/answering";
import { chooseModel, chooseOtherModel } from "../state/library";
import { conversation, editQuestion, NOTHING_TYPED, type, useChat } from "../state/store";
import { branchOf } from "../state/tree";
import type { Models } from "../state/useOpenChat";
import styles from "./Composer.module.css";
import { ContextMeter } from "./ContextMeter";
import { ModelPicker } from "./ModelPicker";
import { PictureButton, Pictures } from "./Pictures";

interface Props {
  /** "" of the new chat; undefined while it is fetched. */
  chatId: string | undefined;
  models: Models;
  answering: boolean;
  onTemplates: () => void;
}

/** Stays as it is while an answer is drawn. */
export const Composer = memo(function Composer({ chatId, models, answering, onTemplates }: Props) {
  const { t } = useTranslation();
  const typed = useChat((state) => state.typed[state.openId ?? ""]) ?? NOTHING_TYPED;
  const { catalog, choice, other, asked } = models;
  const said = typed.text.trim() !== "" || typed.images.length > 0;
  const sendable = said && asked.length > 0 && !answering && chatId !== undefined;
  const simulated = choice.entry?.simulated || other?.entry?.simulated;

  const send = () => sendable && sendMessage({ ...typed, text: typed.text.trim() }, asked);
  const stop = () => chatId && stopAnswers(chatId);
  const stopBy = onEscape(stop);
  const press = (event: KeyboardEvent) => {
    // While an input method composes (Chinese, Japanese …), Enter chooses a word.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (answering) stopBy(event);
    if (event.key === "ArrowUp" && typed.text === "" && !answering) {
      editQuestion(lastQuestion(chatId ?? ""));
    }
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  };
  const pressed = useCallbackRef(press);

  return (
    <div className={styles.dock}>
      <div className={styles.column}>
        <Gone models={models} />
        <form
          className={styles.composer}
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <Pictures images={typed.images} />
          <Field
            text={typed.text}
            placeholder={choice.entry ? t("chat.placeholder", { model: choice.entry.name }) : t("chat.placeholderNone")}
            onPress={pressed}
          />
          <div className={styles.bar}>
            <div className={styles.pickers} data-two={other !== null}>
              <ModelPicker catalog={catalog} choice={choice} onChoose={chooseModel} />
              {other && <ModelPicker catalog={catalog} choice={other} onChoose={chooseOtherModel} second />}
              <Besides models={models} />
            </div>
            <ContextMeter modelTokens={choice.entry?.max_model_len ?? null} draft={typed.text} />
            <Tooltip label={t("templates.open")}>
              <ActionIcon aria-label={t("templates.open")} onClick={onTemplates}>
                <IconTemplate size={18} stroke={1.75} />
              </ActionIcon>
            </Tooltip>
            {choice.entry?.images && <PictureButton images={typed.images} />}
            {answering ? (
              <Tooltip label={t("chat.stop")}>
                <ActionIcon variant="filled" color="gray" aria-label={t("chat.stop")} onClick={stop}>
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
        <p className={styles.hint} data-simulated={simulated}>
          {t(simulated ? "simulated.note" : "chat.hint")}
        </p>
      </div>
    </div>
  );
});

function lastQuestion(chatId: string): string | null {
  const chat = conversation(chatId);
  return (chat && branchOf(chat).findLast((each) => each.role === "user")?.id) ?? null;
}

interface FieldProps {
  text: string;
  placeholder: string;
  onPress: (event: KeyboardEvent) => void;
}

/** Measures itself each time that it is drawn: not to be done for every token. */
const Field = memo(function Field({ text, placeholder, onPress }: FieldProps) {
  const { t } = useTranslation();
  return (
    <Textarea
      id="message"
      aria-label={t("chat.composer")}
      placeholder={placeholder}
      value={text}
      onChange={(event) => type({ text: event.currentTarget.value })}
      onKeyDown={onPress}
      variant="unstyled"
      classNames={{ input: styles.input ?? "" }}
      autosize
      minRows={1}
      maxRows={10}
      autoFocus
    />
  );
});

/** Two models on the same prompt, or one. */
function Besides({ models: { choice, other, catalog } }: { models: Models }) {
  const { t } = useTranslation();
  if (choice.entry === null) return null;
  const second = catalog.find((each) => each.name !== choice.name) ?? choice.entry;
  const label = t(other ? "picker.alone" : "picker.beside");
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} aria-pressed={other !== null} onClick={() => chooseOtherModel(other ? null : second.name)}>
        <IconColumns2 size={18} stroke={1.75} />
      </ActionIcon>
    </Tooltip>
  );
}

/** A chat's model that is not deployed any more; choosing another is all that helps. */
function Gone({ models: { choice, other, pending, failure } }: { models: Models }) {
  const { t } = useTranslation();
  if (pending || failure) return null;
  const gone = [choice, other].find((each) => each && each.name !== null && each.entry === null);
  return gone ? <Notice tone="wait">{t("picker.gone", { name: gone.name ?? "" })}</Notice> : null;
}
