/** What the form holds, and the request made of it. PURE. */
import type { DeploymentBody } from "@/api/types";

export interface DeployForm {
  engine: "vllm" | "simulated";
  model: string | null;
  /** Digest; null: the newest. */
  revision: string | null;
  name: string;
  replicas: number;
  /** null: the server decides. */
  gpus: number | null;
  context: number | null;
  args: string;
  /** Try also what cannot fit by the estimate. */
  evenIfTooLarge: boolean;
  startS: number;
  interTokenS: number;
  prefill: number;
  maxRunning: number;
}

export const EMPTY_FORM: DeployForm = {
  engine: "vllm",
  model: null,
  revision: null,
  name: "",
  replicas: 1,
  gpus: null,
  context: null,
  args: "",
  evenIfTooLarge: false,
  startS: 0,
  interTokenS: 0.02,
  prefill: 8000,
  maxRunning: 64,
};

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

/** The public name: what was typed, or the model's own. */
export function nameOf(form: DeployForm): string {
  return form.name.trim() || (form.engine === "simulated" ? "simulated" : (form.model ?? ""));
}

export interface Problems {
  name?: true;
  model?: true;
  args?: true;
}

export function problemsOf(form: DeployForm): Problems {
  return {
    ...(NAME.test(nameOf(form)) ? {} : { name: true as const }),
    ...(form.engine === "vllm" && !form.model ? { model: true as const } : {}),
    ...(parseArgs(form.args) ? {} : { args: true as const }),
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

/** The body of `PUT /deployments/NAME`; what was left empty is left to the server. */
export function bodyOf(form: DeployForm): Partial<DeploymentBody> {
  const common = {
    engine: form.engine,
    replicas: form.replicas,
    ...(form.gpus === null ? {} : { gpus_per_replica: form.gpus }),
    ...(form.context === null ? {} : { max_model_len: form.context }),
  };
  if (form.engine === "vllm")
    return {
      ...common,
      model: form.model,
      ...(form.revision === null ? {} : { revision: form.revision }),
      ...(form.evenIfTooLarge ? { even_if_too_large: true } : {}),
      engine_args: parseArgs(form.args) ?? {},
    };
  return {
    ...common,
    gpus_per_replica: 0,
    simulation: {
      start_s: form.startS,
      inter_token_s: form.interTokenS,
      prefill_tokens_per_s: form.prefill,
      max_running: form.maxRunning,
      inter_token_per_running_s: 0.0005,
      kv_capacity_tokens: 65536,
      block_tokens: 16,
      swap_s: 0,
    },
  };
}
