/** A swap as the steps that it goes through. PURE. */
import type { SwapView } from "@/api/types";

export type StepName = SwapView["step"];

export interface Step {
  name: StepName;
  /** "stopped": the swap ended before it came to its end. */
  at: "done" | "now" | "next" | "stopped";
}

const WAYS: Record<SwapView["strategy"], StepName[]> = {
  "in-place": ["preparing", "first", "rolling", "done"],
  surge: ["preparing", "restarting", "done"],
  restart: ["preparing", "restarting", "done"],
};

/** The way of its strategy, and where on it the swap is. One that failed, or is being undone, says only that. */
export function stepsOf({ strategy, step, canary }: Pick<SwapView, "strategy" | "step" | "canary">): Step[] {
  if (step === "failed") return [{ name: "failed", at: "stopped" }];
  if (step === "undoing" || step === "returning") return [{ name: step, at: "now" }, { name: "failed", at: "next" }];
  const straight = WAYS[strategy].filter((name) => !canary || name !== "first");
  const tried: StepName[] = canary ? ["preparing", "first", "canary", ...straight.slice(1)] : straight;
  const way: StepName[] = step === "queued" ? ["queued", ...tried] : tried;
  const here = way.indexOf(step);
  return way.map((name, place) => ({
    name,
    at: place < here || name === "done" && step === "done" ? "done" : place === here ? "now" : "next",
  }));
}

/** Until a replica has the new weights, going back is leaving it. */
export function isCancellable({ step }: Pick<SwapView, "step">): boolean {
  return step === "queued" || step === "preparing";
}

/** Those of one deployment, the newest first. */
export function swapsOf(swaps: readonly SwapView[], deployment: string): SwapView[] {
  return swaps.filter((each) => each.deployment === deployment).reverse();
}
