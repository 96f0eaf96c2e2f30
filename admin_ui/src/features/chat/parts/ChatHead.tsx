import { ActionIcon, Tooltip } from "@mantine/core";
import { IconAdjustmentsHorizontal, IconEdit, IconLayoutSidebarLeftExpand, type Icon } from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";

import { useSay } from "@/i18n/useSay";

import { openChat } from "../state/library";
import { useChat } from "../state/store";
import styles from "./ChatHead.module.css";

interface Props {
  title: string | undefined;
  railOpen: boolean;
  onShowRail: () => void;
  settingsOpen: boolean;
  onSettings: () => void;
}

/** Stays as it is while an answer is drawn. */
export const ChatHead = memo(function ChatHead({ title, railOpen, onShowRail, settingsOpen, onSettings }: Props) {
  const { t } = useTranslation();
  const say = useSay();
  const failure = useChat((state) => (state.openId === null ? undefined : state.unsaved[state.openId]));
  return (
    <>
      <header className={styles.head}>
        {!railOpen && <Action icon={IconLayoutSidebarLeftExpand} label={t("chat.showRail")} onClick={onShowRail} />}
        {!railOpen && <Action icon={IconEdit} label={t("chat.newChat")} onClick={() => void openChat(null)} />}
        <h1 className={styles.title}>{title}</h1>
        <Action
          icon={IconAdjustmentsHorizontal}
          label={t("chat.settings")}
          expanded={settingsOpen}
          onClick={onSettings}
        />
      </header>
      {failure && (
        <div className={styles.warning} role="alert">
          {failure.status === 0 || failure.status >= 500
            ? t("chat.unsaved")
            : `${t("chat.refused")} ${say(failure.message, failure.sentence)}`}
        </div>
      )}
    </>
  );
});

interface ActionProps {
  icon: Icon;
  label: string;
  expanded?: boolean;
  onClick: () => void;
}

function Action({ icon: Image, label, expanded, onClick }: ActionProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} aria-expanded={expanded} onClick={onClick}>
        <Image size={20} stroke={1.75} />
      </ActionIcon>
    </Tooltip>
  );
}
