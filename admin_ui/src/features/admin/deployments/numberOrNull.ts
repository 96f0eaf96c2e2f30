/** Mantine's number fields give "" when empty, and text while something is being typed. */
export function numberOrNull(value: number | string): number | null {
  return typeof value === "number" ? value : null;
}
