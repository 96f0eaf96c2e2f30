import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { FILE_GONE } from "@/api/errors";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";

import type { UploadRow } from "./rows";
import { resumeUpload } from "./store";
import styles from "./upload.module.css";

/** What a row of figures cannot say: which files, what went wrong, what can be done. */
export function UploadNote({ row, onChooseFiles }: { row: UploadRow; onChooseFiles: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const { state, transfer, revision } = row;
  if (transfer?.failure) {
    // What this tab remembers of a file that was changed is of no use any more.
    const retry = transfer.failure.code === FILE_GONE ? onChooseFiles : () => resumeUpload(row.id);
    return <FailureNotice failure={transfer.failure} onRetry={retry} />;
  }
  if (state === "rejected")
    return (
      <Notice tone="bad" title={revision && say(revision.reason, revision.sentences["reason"])}>
        {t("library.upload.rejectedHelp")}
      </Notice>
    );
  if (state === "receiving")
    return (
      <div className={styles.note}>
        <span>{t("library.upload.elsewhere", { time: row.expiresAt === null ? "" : format.time(row.expiresAt) })}</span>
        <Button variant="default" onClick={onChooseFiles}>
          {t("library.upload.chooseAgain")}
        </Button>
      </div>
    );
  if (!transfer || (state !== "sending" && state !== "reconnecting")) return null;
  const files = t("library.upload.filesOf", { done: transfer.sentFiles, total: transfer.files });
  return (
    <div className={styles.note}>
      <span>
        {files}
        {transfer.current.length > 0 && " · "}
        <span className="mono">{transfer.current.join(", ")}</span>
      </span>
      <span>{t(state === "sending" ? "library.upload.mayClose" : "library.upload.reconnecting")}</span>
    </div>
  );
}
