import { expect, it } from "vitest";

import type { FitView } from "@/api/types";

import { partsOf, queryOf } from "./fitQuestion";

it("leaves to the server what was left empty", () => {
  const question = { revision: "sha256:1", contextTokens: null, concurrency: 4, gpus: null, kvDtype: "auto" } as const;
  expect(queryOf(question)).toEqual({ revision: "sha256:1", concurrency: 4, kv_dtype: "auto" });
  expect(queryOf({ ...question, contextTokens: 2048, gpus: 0 })).toMatchObject({
    context_tokens: 2048,
    gpus_per_replica: 0,
  });
});

const gpu = {
  weights_bytes: 50,
  activation_bytes: 10,
  engine_bytes: 5,
  kv_request_bytes: 3,
  kv_cache_bytes: 30,
  kv_available_bytes: 35,
  needed_bytes: 68,
  room_bytes: 100,
} as FitView;
const shares = (fit: FitView) => Object.fromEntries(partsOf(fit).map(({ name, share }) => [name, share]));

it("measures each part against the room, and has none to divide by where there is no room", () => {
  expect(shares(gpu)).toEqual({ weights: 0.5, kv: 0.3, activation: 0.1, engine: 0.05 });
  expect(partsOf({ ...gpu, room_bytes: 0 }).every(({ share }) => share === 0)).toBe(true);
});

it("counts no more KV cache than there is room for: requests wait then", () =>
  expect(shares({ ...gpu, kv_cache_bytes: 900 })["kv"]).toBe(0.35));

it("counts on the CPU the KV cache that is set, however little is asked for", () =>
  expect(shares({ ...gpu, kv_cache_bytes: 3, kv_available_bytes: 20, needed_bytes: 85 })["kv"]).toBe(0.2));
