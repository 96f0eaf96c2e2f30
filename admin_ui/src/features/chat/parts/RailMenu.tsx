import { ActionIcon, Menu } from "@mantine/core";
import {
  IconDots,
  IconFileTypography,
  IconFolder,
  IconJson,
  IconPencil,
  IconPin,
  IconPinnedOff,
  IconTrash,
  type Icon,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import type { ChatHeadView } from "@/api/types";

import { exportUrl } from "../state/api";
import styles from "./Rail.module.css";
import type { Mode } from "./RailItem";

interface Props {
  head: ChatHeadView;
  title: string;
  onMode: (mode: Mode) => void;
  onPin: (pinned: boolean) => void;
}

const image = (Image: Icon) => <Image size={16} stroke={1.75} />;

export function RailMenu({ head, title, onMode, onPin }: Props) {
  const { t } = useTranslation();
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <ActionIcon size={24} className={styles.more} aria-label={t("common.moreActions", { name: title })}>
          {image(IconDots)}
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={image(IconPencil)} onClick={() => onMode("renamed")}>
          {t("chat.rename")}
        </Menu.Item>
        <Menu.Item leftSection={image(head.pinned ? IconPinnedOff : IconPin)} onClick={() => onPin(!head.pinned)}>
          {t(head.pinned ? "chat.unpin" : "chat.pin")}
        </Menu.Item>
        <Menu.Item leftSection={image(IconFolder)} onClick={() => onMode("moved")}>
          {t("chat.folder")}
        </Menu.Item>
        <Menu.Item leftSection={image(IconJson)} component="a" href={exportUrl(head.id, "json")} download>
          {t("chat.exportJson")}
        </Menu.Item>
        <Menu.Item leftSection={image(IconFileTypography)} component="a" href={exportUrl(head.id, "markdown")} download>
          {t("chat.exportMarkdown")}
        </Menu.Item>
        <Menu.Item color="red" leftSection={image(IconTrash)} onClick={() => onMode("deleted")}>
          {t("common.delete")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
