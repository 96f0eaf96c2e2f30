import { ActionIcon, Tooltip } from "@mantine/core";
import { IconAdjustmentsHorizontal, IconDownload, IconEdit, IconLayoutSidebarLeftExpand } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { exportOf, fileNameOf, type Conversation } from "../state/conversation";
import { openChat, useChat } from "../state/store";
import styles from "./ChatHead.module.css";
import { download } from "./download";

interface Props {
  conversation: Conversation | null;
  railOpen: boolean;
  onShowRail: () => void;
  settingsOpen: boolean;
  onSettings: () => void;
}

export function ChatHead({ conversation, railOpen, onShowRail, settingsOpen, onSettings }: Props) {
  const { t } = useTranslation();
  const storageFull = useChat((state) => state.storageFull);
  const stroke = 1.75;
  return (
    <>
      <header className={styles.head}>
        {!railOpen && (
          <>
            <Tooltip label={t("chat.showRail")}>
              <ActionIcon aria-label={t("chat.showRail")} onClick={onShowRail}>
                <IconLayoutSidebarLeftExpand size={20} stroke={stroke} />
              </ActionIcon>
            </Tooltip>
            <Tooltip label={t("chat.newChat")}>
              <ActionIcon aria-label={t("chat.newChat")} onClick={() => openChat(null)}>
                <IconEdit size={20} stroke={stroke} />
              </ActionIcon>
            </Tooltip>
          </>
        )}
        <h1 className={styles.title}>{conversation?.title}</h1>
        {conversation && (
          <Tooltip label={t("chat.export")}>
            <ActionIcon
              aria-label={t("chat.export")}
              onClick={() => download(fileNameOf(conversation), exportOf(conversation))}
            >
              <IconDownload size={20} stroke={stroke} />
            </ActionIcon>
          </Tooltip>
        )}
        <Tooltip label={t("chat.settings")}>
          <ActionIcon aria-label={t("chat.settings")} aria-expanded={settingsOpen} onClick={onSettings}>
            <IconAdjustmentsHorizontal size={20} stroke={stroke} />
          </ActionIcon>
        </Tooltip>
      </header>
      {storageFull && (
        <div className={styles.warning} role="alert">
          {t("chat.storageFull")}
        </div>
      )}
    </>
  );
}
