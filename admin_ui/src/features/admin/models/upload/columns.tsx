import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { Progress } from "@/ui/Progress";
import { State } from "@/ui/State";
import { Nothing, RowName } from "@/ui/Text";

import { modelPath } from "../modelPath";
import styles from "../models.module.css";
import { isOver, type UploadRow } from "./rows";

export function useUploadColumns(): Column<UploadRow>[] {
  const { t } = useTranslation();
  const format = useFormat();
  return [
    { id: "name", title: t("col.model"), cell: (row) => <Name row={row} /> },
    { id: "state", title: t("col.state"), cell: (row) => <State state={row.state} /> },
    {
      id: "progress",
      title: t("col.progress"),
      cell: (row) =>
        isOver(row) ? (
          format.bytes(row.totalBytes)
        ) : (
          <Progress
            label={row.name}
            progress={{ phase: "", sentences: {}, done: row.receivedBytes, total: row.totalBytes, unit: "bytes", eta_s: row.leftS }}
          />
        ),
    },
    {
      id: "speed",
      title: t("col.speed"),
      numeric: true,
      cell: (row) => (row.speed === null ? <Nothing /> : t("library.upload.speed", { bytes: format.bytes(row.speed) })),
    },
  ];
}

/** Leads to the model once there is one. */
function Name({ row }: { row: UploadRow }) {
  if (!isOver(row)) return <RowName>{row.name}</RowName>;
  return (
    <Link className={styles.link} to={modelPath(row.name)}>
      <RowName>{row.name}</RowName>
    </Link>
  );
}
