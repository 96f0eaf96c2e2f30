import { ActionIcon, Button, TextInput, Tooltip } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconEdit, IconLayoutSidebarLeftCollapse, IconSearch } from "@tabler/icons-react";
import { memo, useState } from "react";
import { useTranslation } from "react-i18next";

import { AccountMenu } from "@/ui/AccountMenu";
import { Mark } from "@/ui/Mark";
import { onEscape } from "@/ui/onEscape";

import { openChat } from "../state/library";
import { ImportChats } from "./ImportChats";
import styles from "./Rail.module.css";
import { ChatList, FoundList } from "./RailLists";

interface Props {
  /** Lies over the page instead of beside it, and goes when a chat is opened. */
  narrow: boolean;
  onHide: () => void;
}

const TYPING_MS = 200;

/** Stays as it is while an answer is drawn. */
export const Rail = memo(function Rail({ narrow, onHide }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [settled] = useDebouncedValue(typed.trim(), TYPING_MS);
  // An emptied field shows all chats at once.
  const words = typed.trim() === "" ? "" : settled;
  const open = (id: string | null) => {
    void openChat(id);
    if (narrow) onHide();
  };
  return (
    <>
      {narrow && <div className={styles.shade} onClick={onHide} aria-hidden />}
      <nav
        className={styles.rail}
        aria-label={t("chat.conversations")}
        onKeyDown={narrow ? onEscape(onHide) : undefined}
      >
        <div className={styles.head}>
          <Mark size={22} />
          <span className={styles.name}>{t("app.name")}</span>
          <Tooltip label={t("chat.hideRail")}>
            <ActionIcon aria-label={t("chat.hideRail")} autoFocus={narrow} onClick={onHide}>
              <IconLayoutSidebarLeftCollapse size={20} stroke={1.75} />
            </ActionIcon>
          </Tooltip>
        </div>
        <Button
          variant="default"
          justify="flex-start"
          className={styles.begin}
          leftSection={<IconEdit size={16} stroke={1.75} />}
          onClick={() => open(null)}
        >
          {t("chat.newChat")}
        </Button>
        <TextInput
          id="search-chats"
          className={styles.search}
          size="xs"
          type="search"
          aria-label={t("chat.search")}
          placeholder={t("chat.search")}
          leftSection={<IconSearch size={14} stroke={2} />}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || typed === "") return;
            event.preventDefault();
            setTyped("");
          }}
        />
        <div className={styles.list}>
          {words === "" ? <ChatList onOpen={open} /> : <FoundList words={words} onOpen={open} />}
        </div>
        <div className={styles.foot}>
          <ImportChats onImported={open} />
          <AccountMenu other="admin" />
        </div>
      </nav>
    </>
  );
});
