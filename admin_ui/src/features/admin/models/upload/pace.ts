/** How fast bytes go, and how long they will take still. PURE. */

/** Long enough to be calm, short enough to follow a network that changes. */
const WINDOW_S = 15;
/** Before that a speed is a guess. */
const FIRST_AFTER_S = 1;

export interface Sample {
  atS: number;
  bytes: number;
}

/** With one more sample, without those that are too old. The oldest of the window stays: speed is measured from it. */
export function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  const from = samples.findIndex(({ atS }) => atS >= sample.atS - WINDOW_S);
  return [...(from < 0 ? [] : samples.slice(from)), sample];
}

/** Bytes per second over the window; null while nothing can be said. */
export function speedOf(samples: readonly Sample[]): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.atS - first.atS < FIRST_AFTER_S) return null;
  return Math.max(0, (last.bytes - first.bytes) / (last.atS - first.atS));
}

/** Seconds; null while nothing can be said, or nothing moves. */
export function timeLeftOf(remainingBytes: number, speed: number | null): number | null {
  return speed ? remainingBytes / speed : null;
}
