import { useTranslation } from "react-i18next";

import type { FitView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { State } from "@/ui/State";

import styles from "./detail.module.css";
import { partsOf } from "./fitQuestion";

/** The sentence first, then what takes how much of the room, then what else would fit. */
export function FitAnswer({ fit, isOld }: { fit: FitView; isOld: boolean }) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const parts = partsOf(fit);
  const tokens = (value: number | null) => (value === null ? "–" : format.number(value));
  const limits = {
    request: format.memory(fit.kv_request_bytes),
    longest: tokens(fit.longest_context_tokens),
    atOnce: tokens(fit.max_context_tokens),
    requests: format.number(fit.max_concurrency),
    gpusNeeded: tokens(fit.gpus_needed),
    error: t(fit.calibrated ? "library.fit.measured" : "library.fit.allowance", {
      percent: format.number(fit.error * 100, 1),
    }),
  };
  return (
    <div className={styles.answer} aria-busy={isOld} aria-live="polite">
      <div className={styles.verdict}>
        <State state={fit.fits ? "fits" : "unfit"} />
        <span>{say(fit.reason, fit.sentences["reason"])}</span>
      </div>
      <div className={styles.bar} aria-hidden>
        {parts.map(({ name, share }) => (
          <span key={name} data-part={name} style={{ flexBasis: `${share * 100}%` }} />
        ))}
      </div>
      <table className={styles.parts}>
        <caption className="visually-hidden">{t("library.fit.parts")}</caption>
        <tbody>
          {parts.map(({ name, bytes, share }) => (
            <tr key={name}>
              <th scope="row">
                <span className={styles.swatch} data-part={name} aria-hidden />
                {t(`library.fit.${name}`)}
              </th>
              <td>{format.memory(bytes)}</td>
              <td>{format.number(share * 100)} %</td>
            </tr>
          ))}
          <tr className={styles.total}>
            <th scope="row">{t("library.fit.room")}</th>
            <td>{format.memory(fit.room_bytes)}</td>
            <td />
          </tr>
        </tbody>
      </table>
      <dl className={styles.said}>
        {Object.entries(limits).map(([name, value]) => (
          <div key={name}>
            <dt>{t(`library.fit.${name as keyof typeof limits}`)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {fit.assumptions.length > 0 && (
        <details className={styles.assumptions}>
          <summary>{t("library.fit.assumptions")}</summary>
          <ul>
            {fit.assumptions.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
