import { lazy, Suspense, useState, type CSSProperties } from "react";
import { useTranslation } from "react-i18next";

import styles from "./chart.module.css";
import { highest, isEmpty, newest, type Column } from "./column";

const Plot = lazy(() => import("./Plot"));

export interface Line {
  label: string;
  values: Column;
  /** Name of the custom property with the colour. */
  colour: string;
}

interface Props {
  title: string;
  /** Unix seconds. */
  at: number[];
  lines: Line[];
  /** A figure with its unit; the same function as long as the unit is. */
  format: (value: number) => string;
}

/** Lines over time with axes; the legend says the figures under the pointer, or the newest ones. */
export function Chart({ title, at, lines, format }: Props) {
  const { t } = useTranslation();
  const [index, setIndex] = useState<number | null>(null);
  const shown = (line: Line) => {
    const value = index === null ? newest(line.values) : (line.values[index] ?? null);
    return value === null ? t("common.none") : format(value);
  };
  const most = highest(lines.map((line) => highest(line.values)));
  const says = t("overview.chartSays", {
    title,
    now: lines.map((line) => `${line.label} ${shown(line)}`.trim()).join(", "),
    most: most === null ? t("overview.none") : format(most),
  });
  return (
    <figure className={styles.chart} data-chart={title}>
      <figcaption className={styles.head}>
        <h3 className={styles.title}>{title}</h3>
        <ul className={styles.legend}>
          {lines.map((line) => (
            <li key={line.label} style={{ "--line-colour": `var(${line.colour})` } as CSSProperties}>
              <span className={styles.swatch} aria-hidden />
              {line.label} <b>{shown(line)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div className={styles.plot} role="img" aria-label={says}>
        {lines.every((line) => isEmpty(line.values)) ? (
          <span className={styles.nothing}>{t("overview.none")}</span>
        ) : (
          <Suspense fallback={<span className={styles.nothing}>{t("app.loading")}</span>}>
            <Plot at={at} lines={lines} format={format} onCursor={setIndex} />
          </Suspense>
        )}
      </div>
    </figure>
  );
}
