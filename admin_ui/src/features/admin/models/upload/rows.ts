/** The uploads to show: those that this tab sends, and those that the server knows of besides. PURE. */
import type { ModelView, RevisionView, UploadSummary } from "@/api/types";

import { paceOf, type Transfer, type TransferState } from "./transfer";

export type UploadState = Exclude<TransferState, "complete"> | "receiving" | "verifying" | "ready" | "rejected";

export interface UploadRow {
  id: string;
  /** Of the model. */
  name: string;
  state: UploadState;
  receivedBytes: number;
  totalBytes: number;
  /** Bytes per second. */
  speed: number | null;
  leftS: number | null;
  transfer: Transfer | null;
  /** What came of it, once it was handed over. */
  revision: RevisionView | null;
  expiresAt: number | null;
}

/**
 * `server` lists what is being received or verified. What this tab sends stays until it is dismissed, or until its
 * revision is deleted.
 */
export function uploadRows(
  transfers: Readonly<Record<string, Transfer>>,
  server: readonly UploadSummary[],
  models: readonly ModelView[],
): UploadRow[] {
  const listed = new Set(server.map(({ id }) => id));
  const mine = Object.values(transfers)
    .map((transfer) => rowOfTransfer(transfer, models))
    .filter(({ id, state, revision }) => state !== "verifying" || revision !== null || listed.has(id));
  const others = server.filter(({ id, state }) => !(id in transfers) && state !== "expired").map(rowOfSummary);
  return [...mine, ...others];
}

/** Sending, or trying to. */
export function isUnderWay({ state }: UploadRow): boolean {
  return state === "sending" || state === "reconnecting";
}

export function isOver({ state }: UploadRow): boolean {
  return state === "ready" || state === "rejected";
}

/** The server has not taken it over yet. */
export function isCancellable(row: UploadRow): boolean {
  return !isOver(row) && row.state !== "completing" && row.state !== "verifying";
}

function rowOfTransfer(transfer: Transfer, models: readonly ModelView[]): UploadRow {
  const revision = transfer.state === "complete" ? revisionOf(transfer, models) : null;
  return {
    id: transfer.id,
    name: transfer.name,
    state: transfer.state === "complete" ? verdictOf(revision) : transfer.state,
    receivedBytes: transfer.sentBytes,
    totalBytes: transfer.totalBytes,
    ...paceOf(transfer),
    transfer,
    revision,
    expiresAt: null,
  };
}

function rowOfSummary(upload: UploadSummary): UploadRow {
  return {
    id: upload.id,
    name: upload.name,
    state: upload.state === "receiving" ? "receiving" : "verifying",
    receivedBytes: upload.received_bytes,
    totalBytes: upload.total_bytes,
    speed: null,
    leftS: null,
    transfer: null,
    revision: null,
    expiresAt: upload.state === "receiving" ? upload.expires_at : null,
  };
}

function revisionOf({ name, revision }: Transfer, models: readonly ModelView[]): RevisionView | null {
  const model = models.find((each) => each.name === name);
  return model?.revisions.find((each) => each.digest === revision) ?? null;
}

function verdictOf(revision: RevisionView | null): "verifying" | "ready" | "rejected" {
  return revision?.state === "ready" || revision?.state === "rejected" ? revision.state : "verifying";
}
