import { expect, it } from "vitest";

import { adviceFor } from "./advice";

it.each([
  [0, "unreachable", "", "unreachable"],
  [0, "cut_off", "", "cut_off"],
  [401, "invalid_api_key", "", "unauthorized"],
  [400, "BadRequestError", "This model's maximum context length is 2048 tokens", "tooLarge"],
  [429, "rate_limited", "", "limited"],
  [503, "starting", "", "unavailable"],
  [507, "disk_full", "", "diskFull"],
  [0, "file_gone", "", "fileGone"],
  [502, "source_unavailable", "", "hub"],
  [502, "bad_gateway", "", "server"],
  [0, "replica_lost", "", "server"],
  [418, "teapot", "", "unknown"],
])("status %d, code %s: %s → %s", (status, code, message, advice) =>
  expect(adviceFor({ status, code, message, retryAfterS: null })).toBe(advice),
);
