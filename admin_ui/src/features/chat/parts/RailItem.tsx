import { ActionIcon, Menu, TextInput, UnstyledButton } from "@mantine/core";
import { IconDots, IconDownload, IconPencil, IconTrash } from "@tabler/icons-react";
import { useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { InlineConfirm } from "@/ui/InlineConfirm";

import { exportOf, fileNameOf, type Conversation } from "../state/conversation";
import { change, deleteChat } from "../state/store";
import { download } from "./download";
import styles from "./Rail.module.css";

interface Props {
  conversation: Conversation;
  current: boolean;
  answering: boolean;
  onOpen: () => void;
}

export function RailItem({ conversation, current, answering, onOpen }: Props) {
  const { t } = useTranslation();
  const [mode, setMode] = useState<"shown" | "renamed" | "deleted">("shown");
  const { id } = conversation;
  const title = conversation.title || t("chat.untitled");
  const show = () => setMode("shown");
  if (mode === "renamed") {
    return (
      <li className={styles.item}>
        <Rename
          title={title}
          onDone={(name) => {
            if (name) change(id, (old) => ({ ...old, title: name }));
            show();
          }}
        />
      </li>
    );
  }
  if (mode === "deleted") {
    return (
      <li className={styles.ask}>
        <InlineConfirm
          question={t("chat.deleteAsk")}
          action={t("common.delete")}
          onConfirm={() => deleteChat(id)}
          onCancel={show}
        />
      </li>
    );
  }
  return (
    <li className={styles.item} data-current={current}>
      <UnstyledButton className={styles.open} onClick={onOpen} aria-current={current ? "page" : undefined} title={title}>
        {title}
      </UnstyledButton>
      {answering && <span className={styles.busy} aria-hidden />}
      <Menu position="bottom-start">
        <Menu.Target>
          <ActionIcon size={24} className={styles.more} aria-label={t("common.moreActions", { name: title })}>
            <IconDots size={16} stroke={1.75} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil size={16} stroke={1.75} />} onClick={() => setMode("renamed")}>
            {t("chat.rename")}
          </Menu.Item>
          <Menu.Item
            leftSection={<IconDownload size={16} stroke={1.75} />}
            onClick={() => download(fileNameOf(conversation), exportOf(conversation))}
          >
            {t("chat.export")}
          </Menu.Item>
          <Menu.Item color="red" leftSection={<IconTrash size={16} stroke={1.75} />} onClick={() => setMode("deleted")}>
            {t("common.delete")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </li>
  );
}

function Rename({ title, onDone }: { title: string; onDone: (name: string | null) => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(title);
  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") onDone(name.trim() || null);
    if (event.key === "Escape") onDone(null);
  };
  return (
    <TextInput
      className={styles.rename}
      size="xs"
      aria-label={t("chat.renameLabel")}
      value={name}
      onChange={(event) => setName(event.currentTarget.value)}
      onKeyDown={press}
      onBlur={() => onDone(name.trim() || null)}
      onFocus={(event) => event.currentTarget.select()}
      autoFocus
    />
  );
}
