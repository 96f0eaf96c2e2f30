/** From a failure to what a person can do about it: a key of the dictionary. PURE. */
import { CUT_OFF, FILE_GONE, UNREACHABLE, type Failure } from "@/api/errors";

const BY_STATUS = {
  401: "unauthorized",
  403: "forbidden",
  404: "notFound",
  409: "invalid",
  413: "tooLarge",
  422: "invalid",
  400: "invalid",
  429: "limited",
  503: "unavailable",
  507: "diskFull",
} as const;

type Known = "unreachable" | "cut_off" | "fileGone" | "hub";

export type Advice = (typeof BY_STATUS)[keyof typeof BY_STATUS] | Known | "readyNow" | "server" | "unknown";

export function adviceFor({ status, code, message }: Failure): Advice {
  if (code === UNREACHABLE) return "unreachable";
  if (code === CUT_OFF) return "cut_off";
  if (code === FILE_GONE) return "fileGone";
  if (code === "source_unavailable") return "hub";
  if (/context length|too long|maximum.*tokens/i.test(message)) return "tooLarge";
  const known = (BY_STATUS as Record<number, Advice>)[status];
  return known ?? (status >= 500 || /server|replica|engine/.test(code) ? "server" : "unknown");
}
