import { UnstyledButton } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure, type Failure } from "@/api/errors";
import type { ChatChange, ChatHeadView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { deleteChat, describeChat } from "../state/library";
import styles from "./Rail.module.css";
import { RailField } from "./RailField";
import { RailMenu } from "./RailMenu";

interface Props {
  head: ChatHeadView;
  /** The names that there are. */
  folders: string[];
  current: boolean;
  answering: boolean;
  /** The place that was searched for. */
  snippet?: string;
  onOpen: () => void;
}

export type Mode = "shown" | "renamed" | "moved" | "deleted";

export function RailItem({ head, folders, current, answering, snippet, onOpen }: Props) {
  const { t } = useTranslation();
  const [mode, setMode] = useState<Mode>("shown");
  const [failure, setFailure] = useState<Failure | null>(null);
  const title = head.title || t("chat.untitled");
  const attempt = (act: Promise<void>) => {
    setFailure(null);
    act.then(() => setMode("shown"), (error: unknown) => setFailure(toFailure(error)));
  };
  const describe = (change: ChatChange | null) => (change ? attempt(describeChat(head.id, change)) : setMode("shown"));
  if (mode === "deleted") {
    return (
      <li className={styles.ask}>
        <InlineConfirm
          question={t("chat.deleteAsk")}
          action={t("common.delete")}
          failure={failure}
          onConfirm={() => attempt(deleteChat(head.id))}
          onCancel={() => setMode("shown")}
        />
      </li>
    );
  }
  return (
    <li className={styles.item} data-current={current}>
      {mode === "renamed" && (
        <RailField label={t("chat.renameLabel")} value={title} onDone={(name) => describe(name ? { title: name } : null)} />
      )}
      {mode === "moved" && (
        <RailField
          label={t("chat.folderLabel")}
          help={t("chat.folderHelp")}
          value={head.folder}
          known={folders}
          onDone={(folder) => describe(folder === null ? null : { folder })}
        />
      )}
      {mode === "shown" && (
        <>
          <UnstyledButton className={styles.open} onClick={onOpen} aria-current={current ? "page" : undefined} title={title}>
            <span className={styles.title}>{title}</span>
            {snippet && <span className={styles.snippet}>{snippet}</span>}
          </UnstyledButton>
          {answering && <span className={styles.busy} aria-hidden />}
          <RailMenu head={head} title={title} onMode={setMode} onPin={(pinned) => describe({ pinned })} />
        </>
      )}
      {failure && <FailureNotice failure={failure} />}
    </li>
  );
}
