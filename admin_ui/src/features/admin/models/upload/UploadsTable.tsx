import { IconPlayerPause, IconPlayerPlay, IconX, type Icon } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { DataTable } from "@/ui/DataTable";
import { RowAction } from "@/ui/RowAction";

import { CancelUpload } from "./CancelUpload";
import { useUploadColumns } from "./columns";
import { isCancellable, isOver, isUnderWay, type UploadRow } from "./rows";
import { dismissUpload, pauseUpload, resumeUpload } from "./store";
import styles from "./upload.module.css";
import { UploadNote } from "./UploadNote";
import { useUploadRows } from "./useUploadRows";

interface Props {
  /** Of this one alone. */
  model?: string;
  /** For an upload whose files this tab does not have. */
  onChooseFiles: (id: string) => void;
}

/** Every upload that is on, and what came of those of this tab. Nothing where there is none. */
export function UploadsTable({ model, onChooseFiles }: Props) {
  const { t } = useTranslation();
  const rows = useUploadRows(model);
  const columns = useUploadColumns();
  const [asked, setAsked] = useState<string | null>(null);
  if (rows.length === 0) return null;
  const actions = (row: UploadRow) => {
    const action = (icon: Icon, verb: "pause" | "resume" | "dismiss" | "cancel", act: (id: string) => void) => (
      <RowAction icon={icon} label={t(`library.upload.${verb}`)} of={row.name} onClick={() => act(row.id)} />
    );
    return (
      <>
        {isUnderWay(row) && action(IconPlayerPause, "pause", pauseUpload)}
        {row.state === "paused" && action(IconPlayerPlay, "resume", resumeUpload)}
        {isOver(row) && action(IconX, "dismiss", dismissUpload)}
        {isCancellable(row) && action(IconX, "cancel", setAsked)}
      </>
    );
  };
  return (
    <section className={styles.uploads} aria-labelledby="uploads-title">
      <h2 id="uploads-title" className={styles.heading}>
        {t("library.upload.title")}
      </h2>
      <DataTable
        label={t("library.upload.title")}
        columns={columns}
        rows={rows}
        keyOf={(row) => row.id}
        actions={actions}
        below={(row) =>
          asked === row.id ? (
            <CancelUpload row={row} onDone={() => setAsked(null)} />
          ) : (
            <UploadNote row={row} onChooseFiles={() => onChooseFiles(row.id)} />
          )
        }
      />
    </section>
  );
}
