/** The one-time token of `/login#token=…`, or null. PURE. */
export function tokenInHash(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token") || null;
}
