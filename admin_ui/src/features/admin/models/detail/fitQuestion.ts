/** What is asked of the fit, and the parts of its answer. PURE. */
import type { FitView } from "@/api/types";

export interface FitQuestion {
  /** Digest. */
  revision: string;
  /** null: all that the model reads. */
  contextTokens: number | null;
  concurrency: number;
  /** null: 1 where there are GPUs. */
  gpus: number | null;
  kvDtype: "auto" | "fp8";
}

/** The query of `GET /models/NAME/fit`; what was left empty is left to the server. */
export function queryOf(question: FitQuestion) {
  const { revision, contextTokens, concurrency, gpus, kvDtype } = question;
  return {
    revision,
    concurrency,
    kv_dtype: kvDtype,
    ...(contextTokens === null ? {} : { context_tokens: contextTokens }),
    ...(gpus === null ? {} : { gpus_per_replica: gpus }),
  };
}

export type PartName = "weights" | "kv" | "activation" | "engine";

export interface Part {
  name: PartName;
  bytes: number;
  /** Of the room; more than 1 where it is larger than all of it. */
  share: number;
}

/**
 * What takes memory. The KV cache is as large as the requests make it on a GPU, where the rest of the room stays free
 * for more of them, and what is set for it on the CPU.
 */
export function partsOf(fit: FitView): Part[] {
  const fixed = fit.weights_bytes + fit.activation_bytes + fit.engine_bytes;
  const bytes: Record<PartName, number> = {
    weights: fit.weights_bytes,
    kv: Math.max(fit.needed_bytes - fixed, Math.min(fit.kv_cache_bytes, fit.kv_available_bytes)),
    activation: fit.activation_bytes,
    engine: fit.engine_bytes,
  };
  return (Object.entries(bytes) as [PartName, number][]).map(([name, size]) => ({
    name,
    bytes: size,
    share: fit.room_bytes > 0 ? size / fit.room_bytes : 0,
  }));
}
