/** How far a newcomer is. PURE. */
import type { DeploymentView, HistoryView, ModelView } from "@/api/types";

export interface Steps {
  model: boolean;
  deploy: boolean;
  ask: boolean;
}

/** A simulated engine needs no model, and whoever has deployed something has had one. */
export function stepsOf(models: ModelView[], deployments: DeploymentView[], history: HistoryView | undefined): Steps {
  const deploy = deployments.some((each) => each.state === "ready" || each.state === "degraded");
  return {
    model: deploy || models.some((each) => each.state === "ready"),
    deploy,
    ask: deploy && (history?.total.requests_per_s ?? []).some((value) => value !== null && value > 0),
  };
}
