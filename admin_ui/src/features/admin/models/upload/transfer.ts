/** What this tab knows of an upload that it sends, and how that changes. PURE. */
import type { Failure } from "@/api/errors";
import type { UploadView } from "@/api/types";

import { speedOf, timeLeftOf, withSample, type Sample } from "./pace";

export type TransferState =
  | "sending"
  /** The connection is lost, and tried again. */
  | "reconnecting"
  | "paused"
  /** All is there; the server puts it together. */
  | "completing"
  /** Handed over: what became of it stands in the model's revisions. */
  | "complete"
  | "failed";

export interface Transfer {
  id: string;
  /** Of the model. */
  name: string;
  state: TransferState;
  totalBytes: number;
  sentBytes: number;
  files: number;
  sentFiles: number;
  /** Paths of the files that are on their way. */
  current: string[];
  samples: Sample[];
  failure: Failure | null;
  /** Digest, once it is handed over. */
  revision: string;
}

export function transferOf(upload: UploadView): Transfer {
  return {
    id: upload.id,
    name: upload.name,
    state: "sending",
    totalBytes: upload.total_bytes,
    sentBytes: sentOf(offsetsOf(upload)),
    files: upload.files.length,
    sentFiles: upload.files.filter((file) => file.present).length,
    current: [],
    samples: [],
    failure: null,
    revision: "",
  };
}

/** Bytes that are there, by path. */
export function offsetsOf(upload: UploadView): Map<string, number> {
  return new Map(upload.files.map((file) => [file.path, file.present ? file.size_bytes : file.offset]));
}

export const sentOf = (offsets: ReadonlyMap<string, number>): number =>
  [...offsets.values()].reduce((sum, offset) => sum + offset, 0);

export function withProgress(transfer: Transfer, sentBytes: number, atS: number): Transfer {
  return { ...transfer, sentBytes, samples: withSample(transfer.samples, { atS, bytes: sentBytes }) };
}

/** Bytes per second and seconds left, as far as they are known. */
export function paceOf(transfer: Transfer): { speed: number | null; leftS: number | null } {
  if (transfer.state !== "sending") return { speed: null, leftS: null };
  const speed = speedOf(transfer.samples);
  return { speed, leftS: timeLeftOf(transfer.totalBytes - transfer.sentBytes, speed) };
}
