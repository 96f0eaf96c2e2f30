/** A number set by hand, in the place of what the load says. PURE. */
import type { DeploymentView, OverrideView } from "@/api/types";

/** It, for as long as it holds. */
export function standing(override: OverrideView | null, now: number): OverrideView | null {
  return override && (override.until === null || now < override.until) ? override : null;
}

/** How many replicas there should be. `replicas` is fewer where there is no room for what was set by hand. */
export function wantedOf({ replicas, override }: Pick<DeploymentView, "replicas" | "override">, now: number): number {
  return standing(override, now)?.replicas ?? replicas;
}
