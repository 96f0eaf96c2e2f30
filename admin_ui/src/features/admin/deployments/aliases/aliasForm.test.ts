import { describe, expect, it } from "vitest";

import { aliasBodyOf, EMPTY_ALIAS, problemsOfAlias, sharesOf } from "./aliasForm";

const two = { name: "gpt", targets: [{ model: "a", weight: 90 }, { model: "b", weight: 10 }] };

describe("aliasForm", () => {
  it.each([
    [two, {}],
    [EMPTY_ALIAS, { name: true, targets: { 0: "model" } }],
    [{ ...two, name: "g p t" }, { name: true }],
    [{ ...two, targets: [...two.targets, { model: "a", weight: 1 }] }, { targets: { 2: "twice" } }],
    [{ ...two, targets: [{ model: "a", weight: 0 }] }, { targets: { 0: "weight" } }],
    [{ ...two, targets: [{ model: "a", weight: null }] }, { targets: { 0: "weight" } }],
  ])("of %j finds %j", (form, problems) => expect(problemsOfAlias(form)).toEqual(problems));
  it("asks for its targets", () => expect(aliasBodyOf(two)).toEqual({ targets: two.targets }));
  it("shares the sessions by weight, also while a field is empty", () => {
    expect(sharesOf(two.targets)).toEqual([0.9, 0.1]);
    expect(sharesOf([{ model: "a", weight: null }])).toEqual([0]);
  });
});
