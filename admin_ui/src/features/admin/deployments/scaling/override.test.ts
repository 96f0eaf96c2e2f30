import { expect, it } from "vitest";

import { standing, wantedOf } from "./override";

const until = { replicas: 2, until: 100 };

it("holds until its time, or until it is taken back", () => {
  expect(standing(until, 99)).toBe(until);
  expect(standing(until, 100)).toBeNull();
  const forever = { replicas: 0, until: null };
  expect(standing(forever, 1e12)).toBe(forever);
  expect(standing(null, 0)).toBeNull();
});

it("is what is wanted while it holds, also where there is less room", () => {
  expect(wantedOf({ replicas: 1, override: until }, 99)).toBe(2);
  expect(wantedOf({ replicas: 1, override: until }, 100)).toBe(1);
  expect(wantedOf({ replicas: 1, override: { replicas: 0, until: null } }, 0)).toBe(0);
});
