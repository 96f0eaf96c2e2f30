import { expect, it } from "vitest";

import type { UploadFileView } from "@/api/types";

import { FILES_AT_ONCE, orderOf, transmit, type SendFile } from "./transmit";

const file = (path: string, size_bytes: number, present = false) =>
  ({ path, size_bytes, present, offset: 0 }) as UploadFileView;
const nobody = { onOffset: () => {}, onBegin: () => {}, onEnd: () => {} };

/** Files that arrive when the test says so. */
function wire() {
  const begun = new Map<string, () => void>();
  const stopped: string[] = [];
  const send: SendFile = ({ path }, _, signal) =>
    new Promise((resolve, reject) => {
      begun.set(path, resolve);
      signal.addEventListener("abort", () => {
        stopped.push(path);
        reject(signal.reason as Error);
      });
    });
  return { begun, stopped, send };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

it("sends the largest first and leaves out what is there", () =>
  expect(orderOf([file("a", 1), file("b", 3, true), file("c", 2)]).map(({ path }) => path)).toEqual(["c", "a"]));

it("sends some files at once and the next when one has arrived", async () => {
  const { begun, send } = wire();
  const files = [file("a", 5), file("b", 4), file("c", 3), file("d", 2)];
  const ended: string[] = [];
  const listener = { ...nobody, onEnd: (path: string) => void ended.push(path) };
  const done = transmit(files, send, listener, new AbortController().signal);
  expect([...begun.keys()]).toEqual(["a", "b", "c"]);
  expect(begun.size).toBe(FILES_AT_ONCE);
  begun.get("b")?.();
  await turn();
  expect([...begun.keys()]).toEqual(["a", "b", "c", "d"]);
  begun.forEach((arrive) => arrive());
  await done;
  expect(ended.sort()).toEqual(["a", "b", "c", "d"]);
});

it("stops the others when one fails, and says why", async () => {
  const { stopped, send } = wire();
  const failing: SendFile = (each, tell, signal) =>
    each.path === "a" ? Promise.reject(new Error("disk full")) : send(each, tell, signal);
  const files = [file("a", 5), file("b", 4), file("c", 3)];
  await expect(transmit(files, failing, nobody, new AbortController().signal)).rejects.toThrow("disk full");
  expect(stopped.sort()).toEqual(["b", "c"]);
});

it("stops all of them when it is paused", async () => {
  const { stopped, send } = wire();
  const pause = new AbortController();
  const done = transmit([file("a", 5), file("b", 4)], send, nobody, pause.signal);
  pause.abort(new Error("paused"));
  await expect(done).rejects.toThrow("paused");
  expect(stopped.sort()).toEqual(["a", "b"]);
});
