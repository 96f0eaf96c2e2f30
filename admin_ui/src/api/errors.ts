/** What went wrong, in one shape for the admin API, for `/v1` and for typed errors inside a stream. PURE. */
import type { SentenceView } from "./types";

export interface Failure {
  /** HTTP status; 0 when no answer came at all. */
  status: number;
  code: string;
  message: string;
  /** The message in parts, of the admin API. */
  sentence?: SentenceView | null;
  retryAfterS: number | null;
}

export const UNREACHABLE = "unreachable";
/** The stream ended without its last event. */
export const CUT_OFF = "cut_off";
/** A file that was to be sent can no longer be read on this computer. */
export const FILE_GONE = "file_gone";

export class ApiError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
    this.name = "ApiError";
  }
}

interface Envelope {
  error?: { message?: unknown; code?: unknown; type?: unknown; sentence?: SentenceView | null };
}

/** Reads OpenAI's envelope; anything else becomes a failure with the status alone. */
export function failureOf(status: number, body: unknown, retryAfter: string | null = null): Failure {
  const error = typeof body === "object" && body !== null ? (body as Envelope).error : undefined;
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return {
    status,
    code: text(error?.code) || text(error?.type) || `http_${status}`,
    message: text(error?.message),
    sentence: error?.sentence ?? null,
    retryAfterS: Number.isFinite(seconds) ? seconds : null,
  };
}

export function toFailure(error: unknown): Failure {
  if (error instanceof ApiError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  return { status: 0, code: UNREACHABLE, message, retryAfterS: null };
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : "";
}
