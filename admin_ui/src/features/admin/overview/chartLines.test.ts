import { describe, expect, it } from "vitest";

import type { HistoryView, HostSeriesView, ModelSeriesView } from "@/api/types";

import { gpuCharts, MOST_LINES, requestsChart, seriesOf, trafficCharts } from "./chartLines";

const model = (name: string, requests: number): ModelSeriesView => ({
  name,
  requests_per_s: [null, requests],
  errors_per_s: [null, 0],
  refusals_per_s: [null, 0],
  prompt_tokens_per_s: [null, 10],
  generated_tokens_per_s: [null, 20],
  in_flight: [null, 1],
  queued: [null, 0],
  first_token_p50_s: [null, 0.1],
  first_token_p99_s: [null, 0.4],
  queue_p50_s: [null, 0],
  queue_p99_s: [null, 0.2],
});
const host = (address: string, memory: number | null): HostSeriesView => ({
  address,
  gpu_usage: [memory && 0.5],
  gpu_used_bytes: [memory && memory / 2],
  gpu_memory_bytes: [memory],
  disk_free_bytes: [1],
});
const history = (models: ModelSeriesView[], hosts: HostSeriesView[] = []): HistoryView => ({
  window: "1h",
  step_s: 10,
  at: [0, 10],
  total: model("", 9),
  models,
  hosts,
});

describe("requestsChart", () => {
  it("has the busiest models first, and no more than can be told apart", () => {
    const many = Array.from({ length: MOST_LINES + 3 }, (_, each) => model(`m${each}`, each));
    const { lines } = requestsChart(history(many), "");
    expect(lines.map((line) => line.label)).toEqual(["m8", "m7", "m6", "m5", "m4", "m3"]);
  });
  it("has only the model that was chosen", () => {
    expect(requestsChart(history([model("a", 1), model("b", 2)]), "a").lines).toEqual([{ label: "a", values: [null, 1] }]);
  });
});

describe("trafficCharts", () => {
  it("are of all models until one is chosen", () => {
    const some = history([model("a", 1)]);
    expect(seriesOf(some, "").requests_per_s).toEqual([null, 9]);
    expect(seriesOf(some, "a").requests_per_s).toEqual([null, 1]);
    const tokens = trafficCharts(some, "a").find((chart) => chart.name === "tokens");
    expect(tokens?.lines).toEqual([
      { label: "generated", values: [null, 20] },
      { label: "prompt", values: [null, 10] },
    ]);
  });
});

describe("gpuCharts", () => {
  it("are there only where a host has a GPU", () => {
    expect(gpuCharts(history([], [host("a", null)]), String)).toEqual([]);
    const charts = gpuCharts(history([], [host("a", null), host("b", 8)]), (address) => `host ${address}`);
    expect(charts.map((chart) => [chart.name, chart.lines[0]?.label])).toEqual([["gpu", "host b"], ["memory", "host b"]]);
    expect(charts[1]?.lines[0]?.values).toEqual([4]);
  });
});
