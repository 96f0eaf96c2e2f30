/** A slider whose steps double, from a small number up to `most`. PURE. */

/** From the lowest step to the highest. */
const DOUBLINGS = 10;

export function highestStep(most: number): number {
  return Math.ceil(Math.log2(Math.max(2, most)));
}

export function lowestStep(most: number): number {
  return Math.max(0, highestStep(most) - DOUBLINGS);
}

/** The last step is `most` itself, which need not be a power of two. */
export function amountAt(step: number, most: number): number {
  return Math.min(most, 2 ** step);
}

export function stepOf(amount: number, most: number): number {
  return Math.min(highestStep(most), Math.max(lowestStep(most), Math.ceil(Math.log2(Math.max(1, amount)))));
}
