/** Numbers and times for people. PURE: the language and the time come in as arguments. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

export function formatNumber(value: number, language: string, digits = 0): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** 596_049_920 → "596M", as models are talked of. */
export function formatCompact(value: number, language: string): string {
  return new Intl.NumberFormat(language.startsWith("zh") ? "en" : language, {
    notation: "compact",
    maximumSignificantDigits: 3,
  }).format(value);
}

/** Decimal units, as disks and downloads are labelled: 98_000_000 → "98 MB". */
export function formatBytes(bytes: number, language: string): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${formatNumber(value, language, value < 10 && unit > 0 ? 1 : 0)} ${BYTE_UNITS[unit]}`;
}

/** Binary units, as memory is counted: 2_147_483_648 → "2 GiB". */
export function formatMemory(bytes: number, language: string): string {
  const unit = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** unit;
  return `${formatNumber(value, language, unit > 1 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

/** 32768 → "32k", 8192 → "8k", 2000 → "2,000". */
export function formatContext(tokens: number, language: string): string {
  if (tokens >= 1024 && tokens % 1024 === 0) return `${formatNumber(tokens / 1024, language)}k`;
  return tokens >= 10_000 ? `${formatNumber(tokens / 1000, language)}k` : formatNumber(tokens, language);
}

/** 0.21 → "0.21 s", 75 → "1 min 15 s", 7300 → "2 h 1 min". Two units at most. */
export function formatDuration(seconds: number, language: string): string {
  if (seconds < 10 && seconds > 0) return unit(Number(seconds.toFixed(seconds < 1 ? 2 : 1)), "second", language);
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "day"],
    [Math.floor((whole % 86_400) / 3600), "hour"],
    [Math.floor((whole % 3600) / 60), "minute"],
    [whole % 60, "second"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return unit(0, "second", language);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, name]) => unit(amount, name, language))
    .join(" ");
}

/** How long something has been so, in one unit: "now", "42 s", "3 min", "5 h", "2 d". */
export function formatAge(fromUnixS: number, nowUnixS: number, language: string): string {
  const age = Math.max(0, Math.floor(nowUnixS - fromUnixS));
  if (age < 60) return unit(age, "second", language);
  if (age < 3600) return unit(Math.floor(age / 60), "minute", language);
  if (age < 86_400) return unit(Math.floor(age / 3600), "hour", language);
  return unit(Math.floor(age / 86_400), "day", language);
}

/** "3 min ago", "yesterday": the same in words. */
export function formatAgo(fromUnixS: number, nowUnixS: number, language: string): string {
  const age = Math.max(0, nowUnixS - fromUnixS);
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  if (age < 60) return words.format(-Math.floor(age), "second");
  if (age < 3600) return words.format(-Math.floor(age / 60), "minute");
  if (age < 86_400) return words.format(-Math.floor(age / 3600), "hour");
  return words.format(-Math.floor(age / 86_400), "day");
}

export function formatTime(unixS: number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(unixS * 1000);
}

function unit(amount: number, name: string, language: string): string {
  const spelled = new Intl.NumberFormat(language, {
    style: "unit",
    unit: name,
    unitDisplay: language.startsWith("zh") ? "short" : "narrow",
    maximumFractionDigits: 2,
  }).format(amount);
  // English narrow is "5m" and "3s": a space and "min" read better in a table.
  if (!language.startsWith("en")) return spelled;
  return spelled.replace(/^([\d.,]+)m$/, "$1 min").replace(/^([\d.,]+)([shd])$/, "$1 $2");
}
