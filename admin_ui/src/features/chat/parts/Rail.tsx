import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconEdit, IconLayoutSidebarLeftCollapse } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { AccountMenu } from "@/ui/AccountMenu";
import { Mark } from "@/ui/Mark";

import { byPeriod } from "../state/conversation";
import { openChat, useChat } from "../state/store";
import styles from "./Rail.module.css";
import { RailItem } from "./RailItem";

interface Props {
  /** Lies over the page instead of beside it, and goes when a chat is opened. */
  narrow: boolean;
  onHide: () => void;
}

export function Rail({ narrow, onHide }: Props) {
  const { t } = useTranslation();
  const { conversations, openId, answering } = useChat();
  const groups = byPeriod(Object.values(conversations), new Date().setHours(0, 0, 0, 0));
  const open = (id: string | null) => {
    openChat(id);
    if (narrow) onHide();
  };
  return (
    <>
      {narrow && <div className={styles.shade} onClick={onHide} aria-hidden />}
      <nav
        className={styles.rail}
        aria-label={t("chat.conversations")}
        onKeyDown={(event) => narrow && event.key === "Escape" && onHide()}
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
        <div className={styles.list}>
          {groups.length === 0 && <p className={styles.none}>{t("chat.noConversations")}</p>}
          {groups.map(([period, members]) => (
            <section key={period} aria-label={t(`chat.${period}`)}>
              <h2 className={styles.period}>{t(`chat.${period}`)}</h2>
              <ul className={styles.items}>
                {members.map((each) => (
                  <RailItem
                    key={each.id}
                    conversation={each}
                    current={each.id === openId}
                    answering={each.id in answering}
                    onOpen={() => open(each.id)}
                  />
                ))}
              </ul>
            </section>
          ))}
        </div>
        <div className={styles.foot}>
          <AccountMenu other="admin" />
        </div>
      </nav>
    </>
  );
}
