/** How the number of replicas follows the load: what the form holds, and the request made of it. PURE. */
import type { Scaling } from "@/api/types";

import { cronWords } from "./cronWords";

const HOUR_S = 3600;
const MINUTE_S = 60;

/** Numbers are null while their field is empty. */
export interface ScheduleForm {
  cron: string;
  timeZone: string;
  hours: number | null;
  replicas: number | null;
}

export interface ScalingForm {
  /** 0: it may sleep. */
  min: number | null;
  max: number | null;
  /** null, here and below: the server decides. */
  targetWaitS: number | null;
  idleMinutes: number | null;
  priority: number;
  weight: number;
  schedules: ScheduleForm[];
}

export const EMPTY_SCALING: ScalingForm = {
  min: 1,
  max: 2,
  targetWaitS: null,
  idleMinutes: null,
  priority: 0,
  weight: 1,
  schedules: [],
};

/** Office hours, which the next person changes. */
export const newSchedule = (timeZone: string): ScheduleForm => ({ cron: "0 8 * * 1-5", timeZone, hours: 10, replicas: 1 });

export interface ScalingProblems {
  /** The least is missing, or above the most. */
  bounds?: true;
  weight?: true;
  /** By the row. */
  schedules?: Record<number, ScheduleProblem>;
}

export type ScheduleProblem = "cron" | "timeZone" | "hours" | "replicas" | "tooMany";

export function problemsOfScaling(form: ScalingForm): ScalingProblems {
  const bad = form.schedules.flatMap((each, row) => {
    const problem = problemOf(each, form.max);
    return problem ? [[row, problem] as const] : [];
  });
  const { min, max } = form;
  return {
    ...(min === null || max === null || max < 1 || min > max ? { bounds: true as const } : {}),
    ...(form.weight > 0 ? {} : { weight: true as const }),
    ...(bad.length > 0 ? { schedules: Object.fromEntries(bad) } : {}),
  };
}

function problemOf({ cron, timeZone, hours, replicas }: ScheduleForm, max: number | null): ScheduleProblem | null {
  if (cronWords(cron, "en") === null) return "cron";
  if (!timeZone) return "timeZone";
  if (!hours || hours <= 0) return "hours";
  if (!replicas) return "replicas";
  return max !== null && replicas > max ? "tooMany" : null;
}

/** The form that changes nothing. */
export function scalingFormOf(scaling: Scaling): ScalingForm {
  return {
    min: scaling.min_replicas,
    max: scaling.max_replicas,
    targetWaitS: scaling.target_wait_s ?? null,
    idleMinutes: scaling.idle_timeout_s == null ? null : scaling.idle_timeout_s / MINUTE_S,
    priority: scaling.priority,
    weight: scaling.weight,
    schedules: (scaling.schedules ?? []).map((each) => ({
      cron: each.cron,
      timeZone: each.time_zone,
      hours: each.duration_s / HOUR_S,
      replicas: each.min_replicas,
    })),
  };
}

/** Of a form without problems. */
export function scalingOf(form: ScalingForm): Scaling {
  return {
    min_replicas: form.min ?? 0,
    max_replicas: form.max ?? 1,
    target_wait_s: form.targetWaitS,
    // Said of what may sleep alone: else it means nothing.
    idle_timeout_s: form.min === 0 && form.idleMinutes !== null ? form.idleMinutes * MINUTE_S : null,
    priority: form.priority,
    weight: form.weight,
    schedules: form.schedules.map(({ cron, timeZone, hours, replicas }) => ({
      cron: cron.trim().split(/\s+/).join(" "),
      time_zone: timeZone,
      duration_s: Math.round((hours ?? 0) * HOUR_S),
      min_replicas: replicas ?? 0,
    })),
  };
}
