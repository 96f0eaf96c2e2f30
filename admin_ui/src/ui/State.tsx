import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";

import styles from "./State.module.css";
import { useNow } from "./useNow";

const TONES = {
  ready: "good",
  alive: "good",
  starting: "wait",
  degraded: "wait",
  cordoned: "wait",
  draining: "wait",
  receiving: "wait",
  verifying: "wait",
  swapping: "wait",
  sending: "wait",
  reconnecting: "wait",
  completing: "wait",
  queued: "wait",
  preparing: "wait",
  first: "wait",
  canary: "wait",
  returning: "wait",
  rolling: "wait",
  restarting: "wait",
  undoing: "wait",
  done: "good",
  fits: "good",
  unfit: "bad",
  failed: "bad",
  rejected: "bad",
  dead: "bad",
  gone: "bad",
  stopped: "idle",
  asleep: "rest",
  paused: "idle",
} as const;

export type StateName = keyof typeof TONES;

interface Props {
  state: StateName;
  /** Unix seconds. */
  since?: number | undefined;
  /** Why, in words; under the state. */
  reason?: string | undefined;
  /** After the reason: how long it will take still. */
  children?: ReactNode;
}

/** A state as dot + word + since when. The word, not the colour, carries the meaning. */
export function State({ state, since, reason, children }: Props) {
  const { t } = useTranslation();
  return (
    <span className={styles.state} data-state={state}>
      <span className={styles.line}>
        <span className={styles.dot} data-tone={TONES[state]} aria-hidden />
        <span>{t(`state.${state}`)}</span>
        {since !== undefined && <Since at={since} />}
      </span>
      {(reason || children) && (
        <span className={styles.reason}>
          {reason}
          {reason && children && " · "}
          {children}
        </span>
      )}
    </span>
  );
}

function Since({ at }: { at: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(1000);
  return (
    <time className={styles.since} title={format.time(at)}>
      {t("common.since", { time: format.age(at, now) })}
    </time>
  );
}
