/** How the figures behind a decision are written, in the order in which a person reads them. PURE. */
import type { ScalingInputsView } from "@/api/types";

export type Figure = keyof ScalingInputsView;

export type Kind = "count" | "replicas" | "time" | "tokens" | "rate";

export const KINDS: Readonly<Record<Figure, Kind>> = {
  arrivals_per_s: "rate",
  queued: "count",
  in_flight: "count",
  oldest_wait_s: "time",
  expected_wait_s: "time",
  target_wait_s: "time",
  ready: "count",
  starting: "count",
  demand: "replicas",
  needed: "replicas",
  recent_need: "replicas",
  backlog_s: "time",
  prompt_tokens: "tokens",
  output_tokens: "tokens",
  cold_start_s: "time",
  idle_s: "time",
};

export const FIGURES = Object.keys(KINDS) as Figure[];

/** Digits after the point: a fraction of a request per second says something, a hundredth of many does not. */
export function digitsOf(kind: Kind, value: number): number {
  if (kind === "count" || kind === "tokens") return 0;
  return value < 10 ? 2 : 1;
}
