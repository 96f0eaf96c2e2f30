import { FileButton, UnstyledButton } from "@mantine/core";
import { IconFileImport } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure, type Failure } from "@/api/errors";
import { queryClient } from "@/api/queryClient";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";

import { importChat } from "../state/api";
import { listOfFile } from "../state/files";
import { HEADS_KEY } from "../state/saving";
import styles from "./Rail.module.css";

type Trouble = { file: string; failure: Failure | null };

/** Takes files of chats in OpenAI's message format, each with one chat or a list of them. */
export function ImportChats({ onImported }: { onImported: (id: string) => void }) {
  const { t } = useTranslation();
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const take = async (files: File[]) => {
    setTrouble(null);
    let last: string | null = null;
    for (const file of files) {
      try {
        const chats = await listOfFile(file, "chats");
        if (chats === null) setTrouble({ file: file.name, failure: null });
        for (const chat of chats ?? []) last = (await importChat(chat)).id;
      } catch (error) {
        setTrouble({ file: file.name, failure: toFailure(error) });
      }
    }
    await queryClient.invalidateQueries({ queryKey: HEADS_KEY });
    if (last !== null) onImported(last);
  };
  return (
    <>
      {trouble && (
        <Notice tone="bad" title={t("chat.importFailed", { file: trouble.file })}>
          {trouble.failure ? <FailureNotice failure={trouble.failure} /> : t("chat.importNotJson")}
        </Notice>
      )}
      <FileButton multiple accept=".json,application/json" inputProps={{ "aria-label": t("chat.import") }} onChange={(files) => void take(files)}>
        {(props) => (
          <UnstyledButton {...props} className={styles.import}>
            <IconFileImport size={20} stroke={1.75} aria-hidden />
            {t("chat.import")}
          </UnstyledButton>
        )}
      </FileButton>
    </>
  );
}
