import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import type { ModelView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import type { Column } from "@/ui/DataTable";
import { Progress } from "@/ui/Progress";
import { State } from "@/ui/State";
import { Dim, Nothing, RowName } from "@/ui/Text";
import { useNow } from "@/ui/useNow";

import { modelPath } from "./modelPath";
import styles from "./models.module.css";
import { SourceText } from "./SourceText";
import { whyOf } from "./whyOf";

export function useModelColumns(): Column<ModelView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const now = useNow(30_000);
  return [
    {
      id: "name",
      title: t("col.name"),
      sort: (row) => row.name,
      cell: (row) => (
        <span className={styles.named}>
          <Link to={modelPath(row.name)}>
            <RowName>{row.name}</RowName>
          </Link>
          {row.architecture && <Dim>{row.architecture}</Dim>}
        </span>
      ),
    },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => (
        <span className={styles.named}>
          <State state={row.state} reason={whyOf(row, say)} />
          {row.progress && <Progress progress={row.progress} label={row.name} />}
        </span>
      ),
    },
    {
      id: "source",
      title: t("col.source"),
      needs: "wide",
      sort: (row) => row.source,
      cell: (row) => <SourceText source={row.source} />,
    },
    {
      id: "size",
      title: t("col.size"),
      numeric: true,
      sort: (row) => row.size_bytes,
      cell: (row) => (row.size_bytes ? format.bytes(row.size_bytes) : <Nothing />),
    },
    {
      id: "context",
      title: t("col.context"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.max_model_len ?? 0,
      cell: (row) => (row.max_model_len ? t("unit.tokens", { n: format.context(row.max_model_len) }) : <Nothing />),
    },
    {
      id: "revisions",
      title: t("col.revisions"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.revisions.length,
      cell: (row) => format.number(row.revisions.length),
    },
    {
      id: "deployed",
      title: t("col.deployed"),
      needs: "medium",
      sort: (row) => row.deployments.length,
      cell: (row) => (row.deployments.length > 0 ? row.deployments.join(", ") : <Nothing />),
    },
    {
      id: "added",
      title: t("col.added"),
      numeric: true,
      needs: "wide",
      sort: (row) => -row.created_at,
      cell: (row) => <span title={format.time(row.created_at)}>{format.ago(row.created_at, now)}</span>,
    },
  ];
}
