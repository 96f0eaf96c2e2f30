import { useTranslation } from "react-i18next";

import { useNodes, useReplicas, useSystem } from "@/api/queries";
import type { ModelSeriesView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { newest, type Column } from "@/ui/chart/column";

import type { Unit } from "./chartLines";
import styles from "./overview.module.css";
import { useUnits } from "./useUnits";

/** How it is now, in one line of figures. */
export function Figures({ series }: { series: ModelSeriesView | undefined }) {
  const { t } = useTranslation();
  const format = useFormat();
  const units = useUnits();
  const system = useSystem().data;
  const replicas = useReplicas().data ?? [];
  const nodes = useNodes().data ?? [];
  const figure = (unit: Unit, ...columns: (Column | undefined)[]) => {
    const values = columns.map((column) => (column ? newest(column) : null));
    return values.map((value) => (value === null ? t("common.none") : units[unit](value))).join(" · ");
  };
  const of = (part: number, all: number) =>
    t("admin.deployments.readyOf", { ready: format.number(part), wanted: format.number(all) });
  const traffic = {
    requests: figure("number", series?.requests_per_s),
    tokens: figure("number", series?.generated_tokens_per_s),
    firstToken: figure("seconds", series?.first_token_p50_s, series?.first_token_p99_s),
    queue: figure("seconds", series?.queue_p50_s, series?.queue_p99_s),
    waiting: figure("number", series?.queued),
  };
  const cluster = {
    inFlight: format.number(replicas.reduce((sum, each) => sum + each.in_flight, 0)),
    replicas: of(replicas.filter((each) => each.state === "ready").length, replicas.length),
    nodes: of(nodes.filter((each) => each.alive).length, nodes.length),
    devices: system?.devices === "gpu" ? t("admin.overview.gpu", { n: format.number(system.gpus, 2) }) : t("admin.overview.cpu"),
  };
  return (
    <dl className={styles.figures} aria-label={t("admin.overview.label")}>
      {Object.entries(traffic).map(([name, value]) => (
        <Figure key={name} title={t(`overview.figures.${name as keyof typeof traffic}`)} value={value} />
      ))}
      {Object.entries(cluster).map(([name, value]) => (
        <Figure key={name} title={t(`admin.overview.${name as keyof typeof cluster}`)} value={value} />
      ))}
    </dl>
  );
}

const Figure = ({ title, value }: { title: string; value: string }) => (
  <div className={styles.figure}>
    <dt>{title}</dt>
    <dd>{value}</dd>
  </div>
);
