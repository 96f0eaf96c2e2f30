import { useTranslation } from "react-i18next";

import type { DeploymentView, Scaling } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { Dim } from "@/ui/Text";

import styles from "./scaling.module.css";
import { ScheduleWords } from "./Schedules";

/** What an admin asked for: bounds, waits, who goes first, where. */
export function Rules({ deployment }: { deployment: DeploymentView }) {
  const { t } = useTranslation();
  const { scaling, placement, node_labels: labels } = deployment;
  const named = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const rules = [
    ...useRulesOf(deployment),
    { name: t("scaling.rules.placement"), says: t(`scaling.place.${placement}`) },
    ...(named.length > 0 ? [{ name: t("scaling.rules.labels"), says: named.join(", ") }] : []),
  ];
  return (
    <section className={styles.part}>
      <h3>{t("scaling.rules.title")}</h3>
      {!scaling && <Dim>{t("scaling.rules.fixed")}</Dim>}
      <dl className={styles.pairs}>
        {rules.map(({ name, says }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{says}</dd>
          </div>
        ))}
      </dl>
      {scaling?.schedules && scaling.schedules.length > 0 && <ScheduleList schedules={scaling.schedules} />}
    </section>
  );
}

function useRulesOf({ scaling, routing }: DeploymentView): { name: string; says: string }[] {
  const { t } = useTranslation();
  const format = useFormat();
  if (!scaling) return [];
  const { min_replicas: min, max_replicas: max, idle_timeout_s: idle } = scaling;
  const sleeps = idle == null ? t("scaling.rules.idleAuto") : format.duration(idle);
  return [
    { name: t("scaling.rules.bounds"), says: t("scaling.bounds", { min, max }) },
    { name: t("scaling.rules.wait"), says: format.duration(scaling.target_wait_s ?? routing.target_ttft_s) },
    { name: t("scaling.rules.idle"), says: min === 0 ? sleeps : t("scaling.rules.never") },
    { name: t("scaling.rules.priority"), says: format.number(scaling.priority) },
    { name: t("scaling.rules.weight"), says: format.number(scaling.weight, 2) },
  ];
}

function ScheduleList({ schedules }: { schedules: NonNullable<Scaling["schedules"]> }) {
  const { t } = useTranslation();
  return (
    <>
      <h4>{t("scaling.rules.schedules")}</h4>
      <ul className={styles.schedules}>
        {schedules.map((each, row) => (
          <li key={row}>
            <ScheduleWords
              cron={each.cron}
              timeZone={each.time_zone}
              durationS={each.duration_s}
              replicas={each.min_replicas}
            />
          </li>
        ))}
      </ul>
    </>
  );
}
