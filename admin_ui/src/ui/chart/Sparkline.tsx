import { highest, pathOf, thinned, type Column } from "./column";
import styles from "./chart.module.css";

interface Props {
  values: Column;
  /** What is drawn, in words. */
  label: string;
  /** The top of the picture, if not the highest figure. */
  most?: number;
}

const WIDTH = 96;
const HEIGHT = 20;

/** A small line in a row of a table: its shape, without axes. */
export function Sparkline({ values, label, most }: Props) {
  const few = thinned(values, WIDTH / 2);
  return (
    <svg className={styles.spark} width={WIDTH} height={HEIGHT} viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`} role="img" aria-label={label}>
      <path d={pathOf(few, WIDTH, HEIGHT, most ?? highest(few) ?? 0)} />
    </svg>
  );
}
