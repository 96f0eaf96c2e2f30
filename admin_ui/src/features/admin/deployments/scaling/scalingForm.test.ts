import { describe, expect, it } from "vitest";

import { EMPTY_SCALING, newSchedule, problemsOfScaling, scalingOf } from "./scalingForm";

const form = { ...EMPTY_SCALING, min: 0, max: 3 };
const schedule = newSchedule("Asia/Shanghai");

describe("scalingForm", () => {
  it("asks for the bounds, and leaves to the server what was left empty", () =>
    expect(scalingOf(form)).toEqual({
      min_replicas: 0,
      max_replicas: 3,
      target_wait_s: null,
      idle_timeout_s: null,
      priority: 0,
      weight: 1,
      schedules: [],
    }));
  it("sends seconds", () =>
    expect(scalingOf({ ...form, targetWaitS: 2.5, idleMinutes: 10, schedules: [schedule] })).toMatchObject({
      target_wait_s: 2.5,
      idle_timeout_s: 600,
      schedules: [{ cron: "0 8 * * 1-5", time_zone: "Asia/Shanghai", duration_s: 36_000, min_replicas: 1 }],
    }));
  it("says nothing of sleep where it may not", () =>
    expect(scalingOf({ ...form, min: 1, idleMinutes: 10 }).idle_timeout_s).toBeNull());
  it.each([
    [{}, {}],
    [{ min: 4 }, { bounds: true }],
    [{ min: null }, { bounds: true }],
    [{ max: null }, { bounds: true }],
    [{ min: 0, max: 0 }, { bounds: true }],
    [{ weight: 0 }, { weight: true }],
    [{ schedules: [schedule] }, {}],
    [{ schedules: [schedule, { ...schedule, cron: "8:00" }] }, { schedules: { 1: "cron" } }],
    [{ schedules: [{ ...schedule, timeZone: "" }] }, { schedules: { 0: "timeZone" } }],
    [{ schedules: [{ ...schedule, hours: null }] }, { schedules: { 0: "hours" } }],
    [{ schedules: [{ ...schedule, replicas: 0 }] }, { schedules: { 0: "replicas" } }],
    [{ schedules: [{ ...schedule, replicas: 4 }] }, { schedules: { 0: "tooMany" } }],
  ])("with %j finds %j", (part, problems) => expect(problemsOfScaling({ ...form, ...part })).toEqual(problems));
});
