import { describe, expect, it } from "vitest";

import type { DeploymentView } from "@/api/types";

import { bodyOf, EMPTY_FORM, formOf, nameOf, parseArgs, problemsOf } from "./deployForm";

const form = { ...EMPTY_FORM, model: "smollm2" };

const routing: DeploymentView["routing"] = {
  policy: "prefix-aware",
  target_ttft_s: 2,
  max_in_flight: 8,
  queue_requests: 10,
  queue_tokens: 1000,
  queue_bytes: 10_000,
  queue_timeout_s: 30,
  cold_start_timeout_s: 300,
  continue_streams: false,
};

/** A deployment with nothing as it is by default. */
const view = {
  name: "chat",
  model: "smollm2",
  engine: "vllm",
  revision: "sha256:1",
  replicas: 2,
  scaling: {
    min_replicas: 0,
    max_replicas: 3,
    target_wait_s: 1.5,
    idle_timeout_s: 90,
    priority: 2,
    weight: 0.5,
    schedules: [{ cron: "0 8 * * 1-5", time_zone: "UTC", duration_s: 5400, min_replicas: 2 }],
  },
  gpus_per_replica: 0.5,
  max_model_len: 4096,
  asked_max_model_len: 2048,
  engine_args: { enforce_eager: true },
  simulation: { ...EMPTY_FORM.simulation, swap_s: 2, start_s: 9 },
  drain_deadline_s: 7,
  sleep_mode: true,
  placement: "pack",
  node_labels: { gpu: "4090d" },
  routing,
  external: [
    { name: "a", url: "https://a/v1", has_key: true, model: "m", weight: 1, max_in_flight: 4, health_path: "/models" },
  ],
} as unknown as DeploymentView;

describe("deployForm", () => {
  it("takes the model's name where none is typed", () => {
    expect(nameOf(form)).toBe("smollm2");
    expect(nameOf({ ...form, name: " mine " })).toBe("mine");
    expect(nameOf({ ...EMPTY_FORM, engine: "simulated" })).toBe("simulated");
  });
  it("finds what is wrong", () => {
    expect(problemsOf(form)).toEqual({});
    expect(problemsOf(EMPTY_FORM)).toEqual({ name: true, model: true });
    expect(problemsOf({ ...form, name: "a b", args: "[1]" })).toEqual({ name: true, args: true });
  });
  it("leaves to the server what was left empty", () =>
    expect(bodyOf(form)).toEqual({
      engine: "vllm",
      model: "smollm2",
      replicas: 1,
      engine_args: {},
      placement: "spread",
      node_labels: {},
    }));
  it("asks either for a number or for bounds", () => {
    const body = bodyOf({ ...form, followsLoad: true, scaling: { ...form.scaling, min: 0, max: 3 } });
    expect(body).not.toHaveProperty("replicas");
    expect(body.scaling).toMatchObject({ min_replicas: 0, max_replicas: 3 });
    expect(bodyOf({ ...form, scaling: { ...form.scaling, max: 3 } })).not.toHaveProperty("scaling");
  });
  it("minds what is wrong with the bounds only where there are some", () => {
    const scaling = { ...form.scaling, min: 3, max: 1 };
    expect(problemsOf({ ...form, scaling })).toEqual({});
    expect(problemsOf({ ...form, scaling, followsLoad: true })).toEqual({ scaling: { bounds: true } });
  });
  it("asks for hosts by their labels", () => {
    const labelled = { ...form, placement: "pack" as const, labels: ["gpu=4090d", "zone=a.1"] };
    expect(problemsOf(labelled)).toEqual({});
    expect(bodyOf(labelled)).toMatchObject({ placement: "pack", node_labels: { gpu: "4090d", zone: "a.1" } });
    expect(problemsOf({ ...form, labels: ["gpu=4090d", "zone"] })).toEqual({ labels: true });
  });
  it("asks for a certain revision, and for what may not fit, only where that is wanted", () =>
    expect(bodyOf({ ...form, revision: "sha256:1", evenIfTooLarge: true })).toMatchObject({
      revision: "sha256:1",
      even_if_too_large: true,
    }));
  it("needs no model and no GPU for the simulated engine", () =>
    expect(bodyOf({ ...EMPTY_FORM, engine: "simulated" })).toMatchObject({ engine: "simulated", gpus_per_replica: 0 }));
  it("reads JSON objects only", () => {
    expect(parseArgs('{"enforce_eager": true}')).toEqual({ enforce_eager: true });
    expect(parseArgs("null")).toBeNull();
    expect(parseArgs("{")).toBeNull();
  });
  it("changes nothing of a deployment where nothing is changed", () => {
    const { scaling, placement, node_labels, engine_args, drain_deadline_s, sleep_mode } = view;
    expect(bodyOf(formOf(view))).toEqual({
      engine: "vllm",
      model: "smollm2",
      revision: "sha256:1",
      scaling,
      gpus_per_replica: 0.5,
      max_model_len: 2048,
      engine_args,
      placement,
      node_labels,
      routing,
      drain_deadline_s,
      sleep_mode,
      external: [{ name: "a", url: "https://a/v1", key: null, model: "m", weight: 1, max_in_flight: 4, health_path: "/models" }],
    });
  });
  it("switches sleep mode off where its box is cleared", () => {
    expect(bodyOf({ ...formOf(view), sleepMode: false })).not.toHaveProperty("sleep_mode");
  });
  it("keeps how a simulated engine behaves, and what it stands for", () => {
    const simulated = { ...view, engine: "simulated" as const, scaling: null, engine_args: { faults: { hang: true } } };
    const body = bodyOf(formOf(simulated));
    expect(body).toMatchObject({ engine: "simulated", model: "smollm2", replicas: 2, engine_args: simulated.engine_args });
    expect(body.simulation).toEqual(view.simulation);
    expect(body).toMatchObject({ gpus_per_replica: 0.5, sleep_mode: true });
    expect(body).not.toHaveProperty("scaling");
  });
});
