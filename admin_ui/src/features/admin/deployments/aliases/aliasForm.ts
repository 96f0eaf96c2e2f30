/** What the form of an alias holds, and the request made of it. PURE. */
import type { AliasBody, AliasView } from "@/api/types";

import { NAME } from "../deployForm";

export interface TargetForm {
  /** Public name of a deployment; null while none is chosen. */
  model: string | null;
  /** null while the field is empty. */
  weight: number | null;
}

export interface AliasForm {
  name: string;
  targets: TargetForm[];
}

export const NEW_TARGET: TargetForm = { model: null, weight: 1 };

export const EMPTY_ALIAS: AliasForm = { name: "", targets: [NEW_TARGET] };

export function aliasFormOf({ name, targets }: AliasView): AliasForm {
  return { name, targets: targets.map(({ model, weight }) => ({ model, weight })) };
}

export interface AliasProblems {
  name?: true;
  /** By the row. */
  targets?: Record<number, TargetProblem>;
}

export type TargetProblem = "model" | "twice" | "weight";

export function problemsOfAlias({ name, targets }: AliasForm): AliasProblems {
  const bad = targets.flatMap((each, row) => {
    const problem = problemOf(each, targets.slice(0, row));
    return problem ? [[row, problem] as const] : [];
  });
  return {
    ...(NAME.test(name.trim()) ? {} : { name: true as const }),
    ...(bad.length > 0 ? { targets: Object.fromEntries(bad) } : {}),
  };
}

function problemOf({ model, weight }: TargetForm, above: TargetForm[]): TargetProblem | null {
  if (!model) return "model";
  if (above.some((each) => each.model === model)) return "twice";
  return weight && weight > 0 ? null : "weight";
}

/** Of a form without problems. */
export function aliasBodyOf({ targets }: AliasForm): AliasBody {
  return { targets: targets.map(({ model, weight }) => ({ model: model ?? "", weight: weight ?? 1 })) };
}

/** What part of the sessions each row gets, 0 to 1. */
export function sharesOf(targets: TargetForm[]): number[] {
  const all = targets.reduce((sum, each) => sum + (each.weight ?? 0), 0);
  return targets.map((each) => (all > 0 ? (each.weight ?? 0) / all : 0));
}
