/** One way out to the server: cookie, CSRF header, and what a 401 means. */
import createClient from "openapi-fetch";

import { ApiError, failureOf } from "./errors";
import type { paths } from "./generated/schema";
import { queryClient } from "./queryClient";
import type { SessionView } from "./types";

export const SESSION_KEY = ["session"] as const;
const CSRF_HEADER = "x-roundhouse-csrf";

/** What a request that may change something must carry, for those who cannot use `apiFetch`. */
export function csrfHeaders(): Record<string, string> {
  const session = queryClient.getQueryData<SessionView | null>(SESSION_KEY);
  return session ? { [CSRF_HEADER]: session.csrf_token } : {};
}

/** Nobody is logged in any more: leads to the login page. */
export function endSession(): void {
  queryClient.setQueryData(SESSION_KEY, null);
}

/** `fetch` with the session cookie and, where something may change, the CSRF token of the session. */
export async function apiFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const request = new Request(input, { credentials: "same-origin", ...init });
  const again = request.clone();
  let response = await send(request);
  if (response.status === 403 && (await isStaleToken(response))) {
    // Another tab logged in: the cookie is new, our token is of the old session.
    await refreshSession();
    response = await send(again);
  }
  // A failed login is an answer on the login page; any other 401 leads there.
  if (response.status === 401 && !request.url.endsWith("/api/v1/session")) {
    endSession();
  }
  return response;
}

async function send(request: Request): Promise<Response> {
  if (request.method !== "GET") {
    for (const [name, value] of Object.entries(csrfHeaders())) request.headers.set(name, value);
  }
  return fetch(request);
}

async function isStaleToken(response: Response): Promise<boolean> {
  const body: unknown = await response.clone().json().catch(() => null);
  return failureOf(403, body).code === "csrf";
}

export async function refreshSession(): Promise<void> {
  await queryClient.refetchQueries({ queryKey: SESSION_KEY });
}

export const api = createClient<paths>({ baseUrl: globalThis.location?.origin ?? "", fetch: apiFetch });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer. Throws `ApiError` for every other status than 2xx. */
export function expectData<T>(answer: Answer<T>): T {
  if (!answer.response.ok) {
    const retryAfter = answer.response.headers.get("retry-after");
    throw new ApiError(failureOf(answer.response.status, answer.error, retryAfter));
  }
  return answer.data as T;
}
