/** Which lines the charts of the overview have. PURE. */
import type { HistoryView, HostSeriesView, ModelSeriesView } from "@/api/types";
import type { Column } from "@/ui/chart/column";

/** How a figure is told. */
export type Unit = "number" | "seconds" | "bytes" | "share";

type TrafficColumn = Exclude<keyof ModelSeriesView, "name">;
type HostColumn = Exclude<keyof HostSeriesView, "address">;
export type LineName = "generated" | "prompt" | "p50" | "p99" | "waiting" | "inFlight" | "errors" | "refusals";

export type ChartName = "requests" | "tokens" | "firstToken" | "queue" | "load" | "failures" | "gpu" | "memory";

export interface ChartOf<Label> {
  name: ChartName;
  unit: Unit;
  lines: { label: Label; values: Column }[];
}

/** More would be lines that nobody can tell apart. */
export const MOST_LINES = 6;

const TRAFFIC: { name: ChartName; unit: Unit; columns: [LineName, TrafficColumn][] }[] = [
  { name: "tokens", unit: "number", columns: [["generated", "generated_tokens_per_s"], ["prompt", "prompt_tokens_per_s"]] },
  { name: "firstToken", unit: "seconds", columns: [["p50", "first_token_p50_s"], ["p99", "first_token_p99_s"]] },
  { name: "queue", unit: "seconds", columns: [["p50", "queue_p50_s"], ["p99", "queue_p99_s"]] },
  { name: "load", unit: "number", columns: [["waiting", "queued"], ["inFlight", "in_flight"]] },
  { name: "failures", unit: "number", columns: [["errors", "errors_per_s"], ["refusals", "refusals_per_s"]] },
];

/** The series of one model, or of all of them for "". */
export const seriesOf = (history: HistoryView, model: string): ModelSeriesView =>
  history.models.find((each) => each.name === model) ?? history.total;

/** One line for each model, the busiest first; all other charts are of the model that was chosen, or of all together. */
export function requestsChart(history: HistoryView, model: string): ChartOf<string> {
  const chosen = model ? history.models.filter((each) => each.name === model) : byTraffic(history.models);
  const lines = chosen.slice(0, MOST_LINES).map((each) => ({ label: each.name, values: each.requests_per_s }));
  return { name: "requests", unit: "number", lines };
}

export function trafficCharts(history: HistoryView, model: string): ChartOf<LineName>[] {
  const series = seriesOf(history, model);
  return TRAFFIC.map(({ name, unit, columns }) => ({
    name,
    unit,
    lines: columns.map(([label, column]) => ({ label, values: series[column] })),
  }));
}

/** One line for each host that has a GPU; none without any. */
export function gpuCharts(history: HistoryView, nameOf: (address: string) => string): ChartOf<string>[] {
  const hosts = history.hosts.filter((each) => each.gpu_memory_bytes.some((value) => value)).slice(0, MOST_LINES);
  if (hosts.length === 0) return [];
  const chart = (name: ChartName, unit: Unit, column: HostColumn): ChartOf<string> => ({
    name,
    unit,
    lines: hosts.map((each) => ({ label: nameOf(each.address), values: each[column] })),
  });
  return [chart("gpu", "share", "gpu_usage"), chart("memory", "bytes", "gpu_used_bytes")];
}

function byTraffic(models: ModelSeriesView[]): ModelSeriesView[] {
  const sum = (each: ModelSeriesView) => each.requests_per_s.reduce<number>((all, value) => all + (value ?? 0), 0);
  return models.toSorted((a, b) => sum(b) - sum(a) || a.name.localeCompare(b.name));
}
