import { describe, expect, it } from "vitest";

import { bodyOf, EMPTY_FORM, nameOf, parseArgs, problemsOf } from "./deployForm";

const form = { ...EMPTY_FORM, model: "smollm2" };

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
    expect(bodyOf(form)).toEqual({ engine: "vllm", model: "smollm2", replicas: 1, engine_args: {} }));
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
});
