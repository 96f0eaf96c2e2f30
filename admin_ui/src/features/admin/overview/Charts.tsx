import { useTranslation } from "react-i18next";

import type { HistoryView, NodeView } from "@/api/types";
import { Chart } from "@/ui/chart/Chart";
import type { Column } from "@/ui/chart/column";

import { gpuCharts, requestsChart, trafficCharts, type ChartOf } from "./chartLines";
import styles from "./overview.module.css";
import { useUnits } from "./useUnits";

interface Props {
  history: HistoryView;
  nodes: NodeView[];
  /** "" for all models. */
  model: string;
}

export function Charts({ history, nodes, model }: Props) {
  const { t } = useTranslation();
  const units = useUnits();
  const hostname = (address: string) => nodes.find((each) => each.address === address)?.hostname ?? address;
  const traffic = trafficCharts(history, model).map((chart) => ({
    ...chart,
    lines: chart.lines.map((line) => ({ ...line, label: t(`overview.lines.${line.label}`) })),
  }));
  const charts: ChartOf<string>[] = [requestsChart(history, model), ...traffic, ...gpuCharts(history, hostname)];
  return (
    <div className={styles.charts}>
      {charts.map(({ name, unit, lines }) => (
        <Chart
          key={name}
          title={t(`overview.charts.${name}`)}
          at={history.at}
          lines={lines.map(coloured)}
          format={units[unit]}
        />
      ))}
    </div>
  );
}

const coloured = (line: { label: string; values: Column }, index: number) => ({ ...line, colour: `--chart-${index + 1}` });
