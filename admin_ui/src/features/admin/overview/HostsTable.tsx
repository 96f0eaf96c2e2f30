import { useTranslation } from "react-i18next";

import { useNodes } from "@/api/queries";
import type { HistoryView, HostSeriesView, NodeView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { newest } from "@/ui/chart/column";
import { DataTable, type Column } from "@/ui/DataTable";
import { State } from "@/ui/State";
import { Nothing, RowName } from "@/ui/Text";

import styles from "./overview.module.css";
import { useUnits } from "./useUnits";

type Row = NodeView & { series: HostSeriesView | undefined };

/** Every host with what its GPUs and its disk do now. */
export function HostsTable({ now }: { now: HistoryView | undefined }) {
  const { t } = useTranslation();
  const nodes = useNodes().data;
  const columns = useColumns();
  if (!nodes?.length) return null;
  const rows = nodes.map((each) => ({
    ...each,
    series: now?.hosts.find((series) => series.address === each.address),
  }));
  return (
    <section className={styles.section}>
      <h2>{t("overview.hosts")}</h2>
      <DataTable label={t("overview.hosts")} columns={columns} rows={rows} keyOf={(row) => row.id} />
    </section>
  );
}

function useColumns(): Column<Row>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const units = useUnits();
  const told = (value: number | null | undefined, as: (value: number) => string) =>
    value === null || value === undefined ? <Nothing /> : as(value);
  const use = (row: Row) => (row.series ? newest(row.series.gpu_usage) : null);
  const used = (row: Row) => (row.series ? newest(row.series.gpu_used_bytes) : null);
  return [
    { id: "name", title: t("col.host"), sort: (row) => row.hostname, cell: (row) => <RowName>{row.hostname}</RowName> },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => (row.alive ? 1 : 0),
      cell: (row) => <State state={row.alive ? "alive" : "dead"} />,
    },
    {
      id: "gpus",
      title: t("col.gpusFree"),
      numeric: true,
      sort: (row) => row.gpus,
      cell: (row) =>
        row.gpus
          ? t("admin.nodes.of", { free: format.number(row.gpus_free, 2), total: format.number(row.gpus, 2) })
          : t("host.none"),
    },
    {
      id: "gpu",
      title: t("overview.col.gpu"),
      numeric: true,
      sort: (row) => use(row) ?? -1,
      cell: (row) => told(use(row), units.share),
    },
    {
      id: "memory",
      title: t("overview.col.gpuMemory"),
      numeric: true,
      needs: "medium",
      sort: (row) => used(row) ?? -1,
      cell: (row) =>
        told(used(row), (value) =>
          t("host.memoryOf", {
            used: format.memory(value),
            all: format.memory(row.gpu_devices.reduce((sum, gpu) => sum + gpu.memory_bytes, 0)),
          }),
        ),
    },
    {
      id: "disk",
      title: t("overview.col.disk"),
      numeric: true,
      sort: (row) => row.weights?.disk_free_bytes ?? -1,
      cell: (row) => told(row.weights?.disk_free_bytes, format.bytes),
    },
  ];
}
