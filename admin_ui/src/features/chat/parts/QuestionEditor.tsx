import { Button, Textarea } from "@mantine/core";
import { useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { onEscape } from "@/ui/onEscape";

import styles from "./Thread.module.css";

interface Props {
  text: string;
  onSend: (text: string) => void;
  onCancel: () => void;
}

/** A question in the place where it stands; what was asked before stays as another branch. */
export function QuestionEditor({ text, onSend, onCancel }: Props) {
  const { t } = useTranslation();
  const [words, setWords] = useState(text);
  const send = () => words.trim() && onSend(words.trim());
  const cancel = onEscape(onCancel);
  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    cancel(event);
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  };
  return (
    <div className={styles.editor}>
      <Textarea
        aria-label={t("chat.editLabel")}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
        onKeyDown={press}
        autosize
        minRows={2}
        maxRows={16}
        autoFocus
      />
      <div className={styles.editing}>
        <Button variant="default" onClick={onCancel}>
          {t("common.cancel")}
        </Button>
        <Button onClick={send} disabled={words.trim() === ""}>
          {t("chat.editSend")}
        </Button>
      </div>
    </div>
  );
}
