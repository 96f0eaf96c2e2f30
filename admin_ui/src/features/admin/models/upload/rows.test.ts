import { describe, expect, it } from "vitest";

import type { ModelView, UploadSummary } from "@/api/types";

import { uploadRows } from "./rows";
import type { Transfer } from "./transfer";

const transfer: Transfer = {
  id: "t",
  name: "tiny",
  state: "sending",
  totalBytes: 100,
  sentBytes: 40,
  files: 2,
  sentFiles: 1,
  current: ["model.safetensors"],
  samples: [
    { atS: 0, bytes: 0 },
    { atS: 4, bytes: 40 },
  ],
  failure: null,
  revision: "",
};
const summary = (id: string, state: UploadSummary["state"]) =>
  ({ id, name: "other", state, received_bytes: 7, total_bytes: 9, expires_at: 5 }) as UploadSummary;
const models = (state: string) =>
  [{ name: "tiny", revisions: [{ digest: "sha256:1", state, reason: "why" }] }] as unknown as ModelView[];
const stateOf = (part: Partial<Transfer>, of: ModelView[] = []) =>
  uploadRows({ t: { ...transfer, ...part } }, [], of)[0]?.state;

describe("uploadRows", () => {
  it("has speed and time left for what this tab sends", () =>
    expect(uploadRows({ t: transfer }, [], [])[0]).toMatchObject({ state: "sending", speed: 10, leftS: 6 }));
  it("has neither while it is paused", () =>
    expect(uploadRows({ t: { ...transfer, state: "paused" } }, [], [])[0]).toMatchObject({ speed: null, leftS: null }));
  it("shows an upload of this tab once, and those of others besides", () => {
    const rows = uploadRows({ t: transfer }, [summary("t", "receiving"), summary("o", "receiving")], []);
    expect(rows.map(({ id, state }) => [id, state])).toEqual([["t", "sending"], ["o", "receiving"]]);
  });
  it("says that others' are verified once they are complete, and nothing of the expired", () =>
    expect(uploadRows({}, [summary("a", "complete"), summary("b", "expired")], []).map((row) => row.state)).toEqual([
      "verifying",
    ]));
  it.each([
    ["verifying", "verifying"],
    ["ready", "ready"],
    ["rejected", "rejected"],
  ])("takes the verdict off the model's revision: %s", (state, word) =>
    expect(stateOf({ state: "complete", revision: "sha256:1" }, models(state))).toBe(word),
  );
  it("waits for the verdict while the server has it and the revision is not known yet", () => {
    const handedOver = { t: { ...transfer, state: "complete", revision: "sha256:2" } as const };
    expect(uploadRows(handedOver, [summary("t", "complete")], models("ready")).map(({ state }) => state)).toEqual([
      "verifying",
    ]);
    expect(uploadRows(handedOver, [], models("ready"))).toEqual([]);
  });
  it("keeps a failure", () => expect(stateOf({ state: "failed" })).toBe("failed"));
});
