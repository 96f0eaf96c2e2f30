import { useTranslation } from "react-i18next";

import type { RevisionView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import type { Column } from "@/ui/DataTable";
import { State } from "@/ui/State";
import { Code, Dim, Nothing } from "@/ui/Text";
import { useNow } from "@/ui/useNow";

import { SourceText } from "../SourceText";
import styles from "./detail.module.css";

/** `standing` is the revision that the model stands for. */
export function useRevisionColumns(standing: string): Column<RevisionView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const now = useNow(30_000);
  return [
    {
      id: "revision",
      title: t("col.revision"),
      cell: (row) => (
        <>
          <Code short>{row.digest}</Code> {row.digest === standing && <Dim>{t("library.revision.standing")}</Dim>}
        </>
      ),
    },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => (
        <State
          state={row.state}
          reason={say(row.reason, row.sentences["reason"]) || row.warnings.join(" ") || undefined}
        />
      ),
    },
    {
      id: "notes",
      title: t("col.notes"),
      cell: (row) => (row.notes ? <span className={styles.notes}>{row.notes}</span> : <Nothing />),
    },
    { id: "author", title: t("col.author"), sort: (row) => row.author, cell: (row) => row.author || <Nothing /> },
    {
      id: "source",
      title: t("col.source"),
      needs: "medium",
      sort: (row) => row.source,
      cell: (row) => <SourceText source={row.source} />,
    },
    {
      id: "deployed",
      title: t("col.deployed"),
      needs: "medium",
      sort: (row) => row.deployments.length,
      cell: (row) => (row.deployments.length > 0 ? row.deployments.join(", ") : <Nothing />),
    },
    {
      id: "size",
      title: t("col.size"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.size_bytes,
      cell: (row) => format.bytes(row.size_bytes),
    },
    {
      id: "added",
      title: t("col.added"),
      numeric: true,
      sort: (row) => -row.created_at,
      cell: (row) => <span title={format.time(row.created_at)}>{format.ago(row.created_at, now)}</span>,
    },
  ];
}
