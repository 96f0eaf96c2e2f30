/** Since when a deployment is in its state: read off its replicas and swaps, for it has no such time itself. PURE. */
import type { DeploymentView, ReplicaView, SwapView } from "@/api/types";

export function stateSince(deployment: DeploymentView, replicas: ReplicaView[], swaps: readonly SwapView[]): number {
  if (deployment.state === "swapping") {
    const swap = swaps.find((each) => each.active && each.deployment === deployment.name);
    return swap?.started_at ?? deployment.updated_at;
  }
  const mine = replicas.filter((each) => each.deployment === deployment.name);
  const ready = mine.filter((each) => each.state === "ready").map((each) => each.state_since);
  const starting = mine.filter((each) => each.state === "starting").map((each) => each.started_at);
  const times = deployment.state === "ready" || deployment.state === "degraded" ? ready : starting;
  const usesReplicas = deployment.state !== "failed" && deployment.state !== "stopped" && times.length > 0;
  if (!usesReplicas) return deployment.updated_at;
  return deployment.state === "starting" ? Math.min(...times) : Math.max(...times);
}
