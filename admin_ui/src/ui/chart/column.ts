/** Columns of figures over time, with null where nothing was recorded. PURE. */

export type Column = readonly (number | null)[];

/** How many places may be missing at the end before what stands there is old. */
const STILL_NEW = 3;

/** The newest figure, or null if there was none lately. */
export function newest(column: Column): number | null {
  for (const value of column.slice(-STILL_NEW).toReversed()) if (value !== null) return value;
  return null;
}

/** The largest figure; null where there is none. */
export function highest(column: Column): number | null {
  return column.reduce<number | null>((most, value) => (value !== null && (most === null || value > most) ? value : most), null);
}

export const isEmpty = (column: Column) => column.every((value) => value === null);

/** Means of `parts` neighbouring stretches, for a line of few pixels. */
export function thinned(column: Column, parts: number): (number | null)[] {
  const length = Math.min(parts, column.length);
  const size = column.length / length;
  return Array.from({ length }, (_, part) => {
    const known = column.slice(Math.floor(part * size), Math.floor((part + 1) * size)).filter((each) => each !== null);
    return known.length ? known.reduce((sum, each) => sum + each, 0) / known.length : null;
  });
}

/** An SVG path through the figures from the lower left of `width` × `height`; it breaks where there is none. */
export function pathOf(column: Column, width: number, height: number, most: number): string {
  const step = column.length > 1 ? width / (column.length - 1) : 0;
  let drawing = false;
  return column
    .map((value, index) => {
      if (value === null) {
        drawing = false;
        return "";
      }
      const letter = drawing ? "L" : "M";
      drawing = true;
      return `${letter}${(index * step).toFixed(1)} ${(height - (most > 0 ? value / most : 0) * height).toFixed(1)}`;
    })
    .join("");
}
