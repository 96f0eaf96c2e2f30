/** What the form holds, and the request made of it. PURE. */
import type { DeploymentBody, DeploymentView, Simulation } from "@/api/types";

import {
  EMPTY_SCALING,
  problemsOfScaling,
  scalingFormOf,
  scalingOf,
  type ScalingForm,
  type ScalingProblems,
} from "./scaling/scalingForm";

export interface DeployForm {
  engine: "vllm" | "simulated";
  model: string | null;
  /** Digest; null: the newest. */
  revision: string | null;
  name: string;
  /** Else the number is fixed. */
  followsLoad: boolean;
  replicas: number;
  scaling: ScalingForm;
  /** null: the server decides. */
  gpus: number | null;
  context: number | null;
  args: string;
  placement: "spread" | "pack";
  /** NAME=VALUE of hosts that may take a replica. */
  labels: string[];
  /** Try also what cannot fit by the estimate. */
  evenIfTooLarge: boolean;
  /** Replicas that are not needed keep their weights in the host's memory. */
  sleepMode: boolean;
  simulation: Simulation;
  /** What a deployment has beside, and keeps when it is changed. */
  kept: Partial<DeploymentBody>;
}

export const EMPTY_FORM: DeployForm = {
  engine: "vllm",
  model: null,
  revision: null,
  name: "",
  followsLoad: false,
  replicas: 1,
  scaling: EMPTY_SCALING,
  gpus: null,
  context: null,
  args: "",
  placement: "spread",
  labels: [],
  evenIfTooLarge: false,
  sleepMode: false,
  simulation: {
    start_s: 0,
    inter_token_s: 0.02,
    prefill_tokens_per_s: 8000,
    max_running: 64,
    inter_token_per_running_s: 0.0005,
    kv_capacity_tokens: 65536,
    block_tokens: 16,
    swap_s: 0,
    wake_s: 0,
    weights_bytes: 0,
  },
  kept: {},
};

const LABEL = /^([A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)=([A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)$/;
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

/** The public name: what was typed, or the model's own. */
export function nameOf(form: DeployForm): string {
  return form.name.trim() || (form.engine === "simulated" ? "simulated" : (form.model ?? ""));
}

export interface Problems {
  name?: true;
  model?: true;
  args?: true;
  labels?: true;
  scaling?: ScalingProblems;
}

export function problemsOf(form: DeployForm): Problems {
  const scaling = form.followsLoad ? problemsOfScaling(form.scaling) : {};
  return {
    ...(NAME.test(nameOf(form)) ? {} : { name: true as const }),
    ...(form.engine === "vllm" && !form.model ? { model: true as const } : {}),
    ...(parseArgs(form.args) ? {} : { args: true as const }),
    ...(form.labels.every((each) => LABEL.test(each)) ? {} : { labels: true as const }),
    ...(Object.keys(scaling).length === 0 ? {} : { scaling }),
  };
}

/** null where it is not a JSON object. */
export function parseArgs(text: string): Record<string, unknown> | null {
  if (text.trim() === "") return {};
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? (read as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function labelsOf(labels: string[]): Record<string, string> {
  return Object.fromEntries(labels.map((each) => LABEL.exec(each)?.slice(1) as [string, string]));
}

/** The body of `PUT /deployments/NAME`; what was left empty is left to the server. */
export function bodyOf(form: DeployForm): Partial<DeploymentBody> {
  const common = {
    ...form.kept,
    engine: form.engine,
    ...(form.followsLoad ? { scaling: scalingOf(form.scaling) } : { replicas: form.replicas }),
    ...(form.gpus === null ? {} : { gpus_per_replica: form.gpus }),
    ...(form.context === null ? {} : { max_model_len: form.context }),
    placement: form.placement,
    node_labels: labelsOf(form.labels),
    engine_args: parseArgs(form.args) ?? {},
  };
  if (form.engine === "vllm")
    return {
      ...common,
      model: form.model,
      ...(form.revision === null ? {} : { revision: form.revision }),
      ...(form.evenIfTooLarge ? { even_if_too_large: true } : {}),
      ...(form.sleepMode ? { sleep_mode: true } : {}),
    };
  return { ...common, gpus_per_replica: form.kept.gpus_per_replica ?? 0, simulation: form.simulation };
}

/** The form that changes a deployment: sent as it is, everything stays. For those with an engine of our own. */
export function formOf(view: DeploymentView): DeployForm {
  const isSimulated = view.engine === "simulated";
  // A simulated engine may stand in for a model of the library, which its form does not show.
  const standsFor = isSimulated && view.model ? { model: view.model, revision: view.revision } : {};
  // Nor its GPUs.
  const holds = isSimulated ? { gpus_per_replica: view.gpus_per_replica, sleep_mode: view.sleep_mode } : {};
  return {
    engine: isSimulated ? "simulated" : "vllm",
    model: view.model || null,
    revision: view.model ? view.revision : null,
    name: view.name,
    followsLoad: view.scaling !== null,
    replicas: view.replicas,
    scaling: view.scaling ? scalingFormOf(view.scaling) : EMPTY_SCALING,
    gpus: isSimulated ? null : view.gpus_per_replica,
    context: view.asked_max_model_len,
    args: Object.keys(view.engine_args).length > 0 ? JSON.stringify(view.engine_args, null, 2) : "",
    placement: view.placement,
    labels: Object.entries(view.node_labels).map(([name, value]) => `${name}=${value}`),
    evenIfTooLarge: false,
    sleepMode: view.sleep_mode,
    simulation: view.simulation,
    kept: {
      ...standsFor,
      ...holds,
      routing: view.routing,
      drain_deadline_s: view.drain_deadline_s,
      external: view.external.map(({ has_key: _, ...engine }) => ({ ...engine, key: null })),
    },
  };
}
