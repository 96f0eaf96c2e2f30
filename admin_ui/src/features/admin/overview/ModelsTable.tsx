import { useTranslation } from "react-i18next";

import { useDeployments } from "@/api/queries";
import type { DeploymentView, HistoryView, ModelSeriesView } from "@/api/types";
import { Sparkline } from "@/ui/chart/Sparkline";
import { highest, newest } from "@/ui/chart/column";
import { DataTable, type Column } from "@/ui/DataTable";
import { State } from "@/ui/State";
import { Nothing, RowName } from "@/ui/Text";

import type { Unit } from "./chartLines";
import styles from "./overview.module.css";
import { useUnits } from "./useUnits";

interface Props {
  /** With the last seconds, for figures. */
  now: HistoryView | undefined;
  /** As far back as the charts go. */
  past: HistoryView | undefined;
}

type Row = DeploymentView & { series: ModelSeriesView | undefined; past: ModelSeriesView | undefined };

/** Every deployment with what it does now, and its last hours in a line. */
export function ModelsTable({ now, past }: Props) {
  const { t } = useTranslation();
  const deployments = useDeployments().data;
  const columns = useColumns(t(`overview.windows.${past?.window ?? "1h"}`));
  if (!deployments) return null;
  const rows = deployments.map((each) => ({
    ...each,
    series: now?.models.find((series) => series.name === each.name),
    past: past?.models.find((series) => series.name === each.name),
  }));
  return (
    <section className={styles.section}>
      <h2>{t("overview.models")}</h2>
      {rows.length > 0 ? (
        <DataTable label={t("overview.models")} columns={columns} rows={rows} keyOf={(row) => row.name} />
      ) : (
        <p className={styles.fine}>{t("overview.noModels")}</p>
      )}
    </section>
  );
}

function useColumns(window: string): Column<Row>[] {
  const { t } = useTranslation();
  const units = useUnits();
  const figure = (
    id: keyof typeof titles,
    unit: Unit,
    of: (series: ModelSeriesView) => (number | null)[],
    needs?: "medium" | "wide",
  ): Column<Row> => {
    const value = (row: Row) => (row.series ? newest(of(row.series)) : null);
    return {
      id,
      title: titles[id],
      numeric: true,
      ...(needs ? { needs } : {}),
      sort: (row) => value(row) ?? -1,
      cell: (row) => {
        const now = value(row);
        return now === null ? <Nothing /> : units[unit](now);
      },
    };
  };
  const titles = {
    requests: t("overview.col.requests"),
    tokens: t("overview.col.tokens"),
    firstToken: t("overview.col.firstToken"),
    firstTokenP99: t("overview.col.firstTokenP99"),
    queue: t("overview.col.queue"),
    waiting: t("overview.col.waiting"),
    failed: t("overview.col.failed"),
  };
  return [
    { id: "name", title: t("col.name"), sort: (row) => row.name, cell: (row) => <RowName>{row.name}</RowName> },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => <State state={row.state} />,
    },
    figure("requests", "number", (series) => series.requests_per_s),
    figure("tokens", "number", (series) => series.generated_tokens_per_s),
    figure("firstToken", "seconds", (series) => series.first_token_p50_s),
    figure("firstTokenP99", "seconds", (series) => series.first_token_p99_s, "medium"),
    figure("queue", "seconds", (series) => series.queue_p99_s, "medium"),
    figure("waiting", "number", (series) => series.queued),
    figure("failed", "number", (series) => series.errors_per_s, "wide"),
    {
      id: "past",
      title: t("overview.col.past", { window }),
      needs: "medium",
      cell: (row) => (row.past ? <Past series={row.past} /> : <Nothing />),
    },
  ];
}

function Past({ series }: { series: ModelSeriesView }) {
  const { t } = useTranslation();
  const units = useUnits();
  const says = (value: number | null) => (value === null ? t("overview.none") : units.number(value));
  const now = says(newest(series.requests_per_s));
  const most = says(highest(series.requests_per_s));
  const title = `${series.name}: ${t("overview.charts.requests")}`;
  return <Sparkline values={series.requests_per_s} label={t("overview.chartSays", { title, now, most })} />;
}
