import { useTranslation } from "react-i18next";

import type { SwapView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { Notice } from "@/ui/Notice";
import { State } from "@/ui/State";
import { Code, Dim } from "@/ui/Text";
import { useNow } from "@/ui/useNow";

import { stepsOf } from "./steps";
import styles from "./swap.module.css";

/** From what to what, how and why, and how far it is. */
export function SwapProgress({ swap }: { swap: SwapView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const now = useNow(1000);
  const took = format.duration(Math.round((swap.ended_at ?? now) - swap.started_at));
  return (
    <div className={styles.swap} data-testid="swap" data-step={swap.step}>
      <div>
        <Code short>{swap.from_revision}</Code> → <Code short>{swap.to_revision}</Code>
      </div>
      <div>
        {t(`swap.${swap.strategy}`)}: <Dim>{say(swap.why, swap.sentences["why"])}</Dim>
      </div>
      {swap.canary && (
        <div>
          {t("swap.canaryOf", {
            share: format.number(swap.canary.share * 100),
            time: format.duration(swap.canary.for_s),
            requests: format.number(swap.canary.requests),
          })}
          {swap.verdict && !swap.reason && <Dim> {say(swap.verdict, swap.sentences["verdict"])}</Dim>}
        </div>
      )}
      <ol className={styles.steps} aria-label={t("swap.steps")}>
        {stepsOf(swap).map(({ name, at }) => (
          <li key={name} data-at={at} aria-current={at === "now" ? "step" : undefined}>
            {at === "next" ? <Dim>{t(`swap.step.${name}`)}</Dim> : t(`swap.step.${name}`)}
            {at === "now" && swap.detail && <Dim>{say(swap.detail, swap.sentences["detail"])}</Dim>}
          </li>
        ))}
      </ol>
      {swap.reason && (
        <Notice tone="bad" title={say(swap.reason, swap.sentences["reason"])}>
          {t("swap.keptOld")}
        </Notice>
      )}
      <Dim>
        {t(swap.active ? "swap.since" : "swap.took", { time: took })}
        {swap.by && ` · ${swap.by}`}
      </Dim>
    </div>
  );
}

/** The same in one line, under the row of its deployment. */
export function SwapLine({ swap }: { swap: SwapView }) {
  const { t } = useTranslation();
  const say = useSay();
  return (
    <span className={styles.line}>
      <State state={swap.step} />
      <span>
        {t("swap.lineTo")} <Code short>{swap.to_revision}</Code>
      </span>
      <Dim>{say(swap.detail, swap.sentences["detail"])}</Dim>
    </span>
  );
}
