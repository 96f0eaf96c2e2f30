/** One file over the tus protocol: in pieces, through cuts and restarts, from where the server has it. */
import type { DetailedError, HttpResponse } from "tus-js-client";

import { csrfHeaders, endSession, refreshSession } from "@/api/client";
import { ApiError, FILE_GONE, failureOf, toFailure, UNREACHABLE, type Failure } from "@/api/errors";

/** What is acknowledged at once, and so what at most is sent again after a cut. */
const PIECE_BYTES = 32 * 2 ** 20;
/** In all about five minutes, counted anew whenever something arrived: longer than a restart of the server. */
const RETRY_DELAYS_MS = [0, 1000, 2000, 4000, 8000, 15_000, 30_000, 60_000, 60_000, 60_000, 60_000];
/** Passing: a cut, another request that still writes, or an offset that is to be asked for again. */
const PASSING = [0, 408, 409, 423, 429];

const GONE: Failure = { status: 0, code: FILE_GONE, message: "", retryAfterS: null };

export interface Telling {
  onOffset: (bytes: number) => void;
  /** The connection is lost: it is tried again. So many bytes are known to have arrived. */
  onRetry: (bytes: number) => void;
}

/** Resolves when all of `content` is at `url`, which has its first `arrived` bytes. Rejects with `ApiError`, or the signal's reason. */
export async function sendByTus(
  url: string,
  content: File,
  arrived: number,
  telling: Telling,
  signal: AbortSignal,
): Promise<void> {
  // Only whoever uploads needs it.
  const { Upload } = await import("tus-js-client");
  signal.throwIfAborted();
  let isGone = false;
  let acknowledged = arrived;
  await new Promise<void>((resolve, reject) => {
    const upload = new Upload(content, {
      uploadUrl: url,
      chunkSize: PIECE_BYTES,
      retryDelays: RETRY_DELAYS_MS,
      storeFingerprintForResuming: false,
      onBeforeRequest: async (request) => {
        // A browser cannot tell a lost connection from a file that was changed or removed under it.
        isGone = !(await isReadable(content));
        if (isGone) throw new Error(content.name);
        for (const [name, value] of Object.entries(csrfHeaders())) request.setHeader(name, value);
      },
      onProgress: (sent) => telling.onOffset(sent),
      onChunkComplete: (_, accepted) => void (acknowledged = accepted),
      onShouldRetry: (error) => {
        if (isGone) return false;
        const failure = failureOfTus(error);
        // Another tab logged in: the cookie is new, our token is of the old session.
        if (failure.code === "csrf") void refreshSession();
        const retried = failure.code === "csrf" || PASSING.includes(failure.status) || isRestart(failure.status);
        if (retried) telling.onRetry(acknowledged);
        return retried;
      },
      onSuccess: () => resolve(),
      onError: (error) => {
        const failure = isGone ? { ...GONE, message: content.name } : failureOfTus(error);
        if (failure.status === 401) endSession();
        reject(new ApiError(failure));
      },
    });
    signal.addEventListener(
      "abort",
      () => {
        void upload.abort();
        reject(signal.reason as Error);
      },
      { once: true },
    );
    upload.start();
  });
}

async function isReadable(content: File): Promise<boolean> {
  return content.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** 507, a full disk, does not pass by waiting. */
const isRestart = (status: number) => status >= 500 && status < 507;

function failureOfTus(error: Error | DetailedError): Failure {
  const answer: HttpResponse | null = "originalResponse" in error ? error.originalResponse : null;
  if (!answer) return { ...toFailure(error), code: UNREACHABLE };
  return failureOf(answer.getStatus(), parsed(answer.getBody()), answer.getHeader("retry-after") ?? null);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
