/** The uploads that this tab sends. They go on while other pages of the app are open. */
import { create } from "zustand";

import { api, expectData } from "@/api/client";
import { toFailure } from "@/api/errors";
import type { UploadBody, UploadView } from "@/api/types";

import { isOutdated } from "./match";
import type { PickedFile } from "./picked";
import { offsetsOf, sentOf, transferOf, withProgress, type Transfer } from "./transfer";
import { transmit, type SendFile } from "./transmit";
import { sendByTus } from "./tus";

/** How often the page learns how far it is; the network tells far more often. */
const TELL_EVERY_MS = 250;

interface UploadStore {
  transfers: Record<string, Transfer>;
}

export const useTransfers = create<UploadStore>(() => ({ transfers: {} }));

/** What of a transfer is no state to be shown. */
interface Sender {
  contents: Map<string, File>;
  stop: AbortController;
}

const PAUSED = new DOMException("Paused", "AbortError");

const senders = new Map<string, Sender>();

/** Begin, or go on with an upload that was begun before: then with these files, chosen again. */
export async function startUpload(
  begun: UploadView | undefined,
  body: Omit<UploadBody, "files">,
  files: readonly PickedFile[],
): Promise<void> {
  const upload = begun ?? (await createUpload(body, files));
  const contents = new Map(files.map(({ path, content }) => [path, content]));
  senders.get(upload.id)?.stop.abort(PAUSED);
  senders.set(upload.id, { contents, stop: new AbortController() });
  put(transferOf(upload));
  void send(upload.id);
}

export function pauseUpload(id: string): void {
  senders.get(id)?.stop.abort(PAUSED);
  change(id, { state: "paused", current: [], samples: [] });
}

/** After a pause, or a failure. */
export function resumeUpload(id: string): void {
  const sender = senders.get(id);
  if (!sender) return;
  senders.set(id, { ...sender, stop: new AbortController() });
  change(id, { state: "sending", failure: null });
  void send(id);
}

/** Stop sending and have the server forget what it has. Throws `ApiError`. */
export async function cancelUpload(id: string): Promise<void> {
  if (senders.has(id)) pauseUpload(id);
  const answer = await api.DELETE("/api/v1/uploads/{upload_id}", { params: { path: { upload_id: id } } });
  if (answer.response.status !== 404) expectData(answer);
  dismissUpload(id);
}

/** Not to be shown any more. */
export function dismissUpload(id: string): void {
  senders.delete(id);
  useTransfers.setState(({ transfers: { [id]: _, ...others } }) => ({ transfers: others }));
}

async function createUpload(body: Omit<UploadBody, "files">, files: readonly PickedFile[]): Promise<UploadView> {
  const declared = files.map(({ path, content }) => ({ path, size_bytes: content.size, sha256: "" }));
  return expectData(await api.POST("/api/v1/uploads", { body: { ...body, files: declared } }));
}

async function send(id: string): Promise<void> {
  const sender = senders.get(id);
  if (!sender) return;
  const { signal } = sender.stop;
  try {
    await sendFiles(id, sender);
    change(id, { state: "completing", current: [] });
    const path = { path: { upload_id: id } };
    const done = expectData(await api.POST("/api/v1/uploads/{upload_id}/complete", { params: path }));
    change(id, { state: "complete", revision: done.revision });
    senders.delete(id);
  } catch (error) {
    if (!signal.aborted) change(id, { state: "failed", current: [], samples: [], failure: toFailure(error) });
  }
}

async function sendFiles(id: string, { contents, stop: { signal } }: Sender): Promise<void> {
  const upload = await freshUpload(id, contents);
  const offsets = offsetsOf(upload);
  const current = new Set<string>();
  const tell = () => {
    const before = useTransfers.getState().transfers[id];
    if (before && !signal.aborted) put({ ...withProgress(before, sentOf(offsets), now()), current: [...current] });
  };
  const send: SendFile = (file, onOffset, anySignal) => {
    const content = contents.get(file.path);
    if (!content) throw new Error(file.path);
    const telling = {
      onOffset: (bytes: number) => {
        change(id, { state: "sending" }, "reconnecting");
        onOffset(bytes);
      },
      onRetry: (bytes: number) => {
        onOffset(bytes);
        change(id, { state: "reconnecting", samples: [] }, "sending");
      },
    };
    return sendByTus(file.upload_url, content, file.offset, telling, anySignal);
  };
  const listener = {
    onOffset: (path: string, offset: number) => void offsets.set(path, offset),
    onBegin: (path: string) => void current.add(path),
    onEnd: (path: string) => {
      current.delete(path);
      change(id, { sentFiles: (useTransfers.getState().transfers[id]?.sentFiles ?? 0) + 1 });
    },
  };
  change(id, { sentFiles: upload.files.filter((file) => file.present).length });
  const timer = setInterval(tell, TELL_EVERY_MS);
  try {
    await transmit(upload.files, send, listener, signal);
  } finally {
    tell();
    clearInterval(timer);
  }
}

/** Where everything is now, without what files had that were written to since. */
async function freshUpload(id: string, contents: ReadonlyMap<string, File>): Promise<UploadView> {
  const path = { path: { upload_id: id } };
  const read = async () => expectData(await api.GET("/api/v1/uploads/{upload_id}", { params: path }));
  const upload = await read();
  const outdated = upload.files.filter((file) => {
    const content = contents.get(file.path);
    return content && isOutdated(file, content, upload.created_at);
  });
  for (const file of outdated) {
    const headers = { "tus-resumable": "1.0.0" };
    const params = { path: { upload_id: id, name: file.upload_url.slice(file.upload_url.lastIndexOf("/") + 1) } };
    expectData(await api.DELETE("/api/v1/uploads/{upload_id}/files/{name}", { params, headers }));
  }
  return outdated.length > 0 ? read() : upload;
}

const now = () => performance.now() / 1000;

function put(transfer: Transfer): void {
  useTransfers.setState(({ transfers }) => ({ transfers: { ...transfers, [transfer.id]: transfer } }));
}

/** Where it is known, and in state `only` if one is given. */
function change(id: string, part: Partial<Transfer>, only?: Transfer["state"]): void {
  const before = useTransfers.getState().transfers[id];
  if (before && (only === undefined || before.state === only)) put({ ...before, ...part });
}
