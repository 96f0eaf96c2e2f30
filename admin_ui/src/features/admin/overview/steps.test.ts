import { expect, it } from "vitest";

import type { DeploymentView, HistoryView, ModelView } from "@/api/types";

import { stepsOf } from "./steps";

const model = (state: string) => ({ state }) as ModelView;
const deployment = (state: string) => ({ state }) as DeploymentView;
const asked = (...requests_per_s: (number | null)[]) => ({ total: { requests_per_s } }) as HistoryView;

it("goes from a model over a deployment to the first question", () => {
  expect(stepsOf([], [], undefined)).toEqual({ model: false, deploy: false, ask: false });
  expect(stepsOf([model("receiving")], [], undefined).model).toBe(false);
  expect(stepsOf([model("ready")], [deployment("starting")], undefined)).toEqual({ model: true, deploy: false, ask: false });
  expect(stepsOf([], [deployment("ready")], asked(null, 0))).toEqual({ model: true, deploy: true, ask: false });
  expect(stepsOf([], [deployment("ready")], asked(null, 0.1))).toEqual({ model: true, deploy: true, ask: true });
});
