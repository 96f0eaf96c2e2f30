import { ActionIcon, Tooltip } from "@mantine/core";
import { IconPencil } from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";

import { CopyButton } from "@/ui/CopyButton";

import { sendMessage, type Asked } from "../state/answering";
import { chooseRound } from "../state/library";
import { editQuestion, useChat } from "../state/store";
import type { Turn } from "../state/tree";
import { BranchSwitch } from "./BranchSwitch";
import { QuestionEditor } from "./QuestionEditor";
import styles from "./Thread.module.css";

interface Props {
  turn: Turn;
  asked: Asked[];
  answering: boolean;
}

export const Question = memo(function Question({ turn: { message, at, of }, asked, answering }: Props) {
  const { t } = useTranslation();
  const edited = useChat((state) => state.edited === message.id);
  if (edited) {
    return (
      <li>
        <QuestionEditor
          text={message.content}
          onCancel={() => editQuestion(null)}
          onSend={(text) => {
            editQuestion(null);
            sendMessage({ text, images: message.images }, asked, message.parent);
          }}
        />
      </li>
    );
  }
  return (
    <li>
      <article className={styles.question} aria-label={t("chat.you")}>
        <div className={styles.said}>
          {message.images.map((url, index) => (
            <img key={index} className={styles.picture} src={url} alt={t("chat.picture", { n: index + 1 })} />
          ))}
          {message.content}
        </div>
        <div className={styles.under}>
          <BranchSwitch label={t("chat.you")} at={at} of={of} onSwitch={(to) => chooseRound(message, to)} />
          <span className={styles.actions}>
            <CopyButton text={() => message.content} label={t("chat.copyMessage")} />
            {!answering && asked.length > 0 && (
              <Tooltip label={t("chat.edit")}>
                <ActionIcon size={28} aria-label={t("chat.edit")} onClick={() => editQuestion(message.id)}>
                  <IconPencil size={16} stroke={1.75} />
                </ActionIcon>
              </Tooltip>
            )}
          </span>
        </div>
      </article>
    </li>
  );
});
