export interface Order {
  /** Id of the column. */
  by: string;
  down: boolean;
}

/** A sorted copy; words by their natural order ("gpu-2" before "gpu-10"). Equal rows keep their places. PURE. */
export function sortRows<Row>(rows: Row[], key: (row: Row) => string | number, down: boolean): Row[] {
  const words = new Intl.Collator(undefined, { numeric: true });
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    if (typeof left === "number" && typeof right === "number") return sign * (left - right);
    return sign * words.compare(String(left), String(right));
  });
}
