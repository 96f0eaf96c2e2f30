import { UnstyledButton } from "@mantine/core";
import { IconChevronRight } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { ScalingInputsView, ScalingRecordView } from "@/api/types";
import { figure, type Values } from "@/i18n/sentence";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { Dim } from "@/ui/Text";

import { digitsOf, FIGURES, KINDS, type Figure } from "./figures";
import styles from "./scaling.module.css";

const SHOWN_AT_FIRST = 10;

interface Props {
  /** Oldest first. */
  records: ScalingRecordView[];
  now: number;
}

/** What changed the number of replicas, newest first; each opens to its figures. */
export function Decisions({ records, now }: Props) {
  const { t } = useTranslation();
  const [all, setAll] = useState(false);
  const newest = records.toReversed();
  const shown = all ? newest : newest.slice(0, SHOWN_AT_FIRST);
  return (
    <section className={styles.part}>
      <h3>{t("scaling.decisions.title")}</h3>
      {records.length === 0 && <Dim>{t("scaling.decisions.none")}</Dim>}
      <ol className={styles.decisions} aria-label={t("scaling.decisions.title")}>
        {shown.map((record) => (
          <li key={record.at} data-short={record.shortage !== "" || undefined}>
            <Decision record={record} now={now} />
          </li>
        ))}
      </ol>
      {records.length > SHOWN_AT_FIRST && (
        <UnstyledButton className={styles.more} onClick={() => setAll(!all)}>
          {all ? t("scaling.decisions.fewer") : t("scaling.decisions.all", { n: records.length })}
        </UnstyledButton>
      )}
    </section>
  );
}

function Decision({ record, now }: { record: ScalingRecordView; now: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const { at, before, granted, target, cause, values, shortage, sentences, inputs } = record;
  const figures: Values = Object.fromEntries(Object.entries(values).map(([name, value]) => figure(name, value, format)));
  return (
    <details>
      <summary>
        <span className={styles.change}>
          <strong>
            <span aria-hidden>
              {before} → {granted}
            </span>
            <span className="visually-hidden">{t("scaling.decisions.change", { before, after: granted })}</span>
          </strong>
          {granted !== target && <span>{t("scaling.decisions.wanted", { n: target })}</span>}
          <time title={format.time(at)}>{format.ago(at, now)}</time>
          <IconChevronRight size={14} stroke={2} aria-hidden />
        </span>
        <span>{t(`scaling.cause.${cause}`, figures)}</span>
        {shortage && (
          <span className={styles.short}>
            {t("scaling.decisions.short", { why: say(shortage, sentences["shortage"]) })}
          </span>
        )}
      </summary>
      <Figures inputs={inputs} />
    </details>
  );
}

function Figures({ inputs }: { inputs: ScalingInputsView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const written = (figure: Figure) => {
    const [kind, value] = [KINDS[figure], inputs[figure]];
    const n = format.number(value, digitsOf(kind, value));
    if (kind === "time") return format.duration(value);
    if (kind === "tokens") return t("unit.tokens", { n });
    return kind === "rate" ? t("scaling.perS", { n }) : n;
  };
  return (
    <dl className={styles.pairs} aria-label={t("scaling.decisions.figures")}>
      {FIGURES.map((figure) => (
        <div key={figure}>
          <dt>{t(`scaling.figure.${figure}`)}</dt>
          <dd>{written(figure)}</dd>
        </div>
      ))}
    </dl>
  );
}
