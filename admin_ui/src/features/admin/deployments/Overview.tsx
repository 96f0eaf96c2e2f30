import { useTranslation } from "react-i18next";

import { useNodes, useReplicas, useSystem } from "@/api/queries";
import { useFormat } from "@/i18n/useFormat";
import { Notice } from "@/ui/Notice";
import { useNow } from "@/ui/useNow";

import styles from "./deployments.module.css";

/** The cluster in one line of figures, and what is wrong with it. */
export function Overview() {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(30_000);
  const system = useSystem().data;
  const replicas = useReplicas().data ?? [];
  const nodes = useNodes().data ?? [];
  if (!system) return null;
  const ready = replicas.filter((each) => each.state === "ready").length;
  const alive = nodes.filter((each) => each.alive).length;
  const of = (part: number, all: number) =>
    t("admin.deployments.readyOf", { ready: format.number(part), wanted: format.number(all) });
  const facts = {
    replicas: of(ready, replicas.length),
    inFlight: format.number(replicas.reduce((sum, each) => sum + each.in_flight, 0)),
    nodes: of(alive, nodes.length),
    devices:
      system.devices === "gpu" ? t("admin.overview.gpu", { n: format.number(system.gpus, 2) }) : t("admin.overview.cpu"),
    uptime: format.age(system.started_at, now),
    version: system.version,
  };
  const problems = system.problems.length > 0 || !system.ray_connected;
  return (
    <>
      {problems && (
        <div className={styles.problems}>
          <Notice tone="bad" title={system.problems.join(" ") || undefined}>
            {!system.ray_connected && t("admin.overview.rayDown")}
          </Notice>
        </div>
      )}
      <dl className={styles.overview} aria-label={t("admin.overview.label")}>
        {Object.entries(facts).map(([name, value]) => (
          <div key={name} className={styles.fact}>
            <dt>{t(`admin.overview.${name as keyof typeof facts}`)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
