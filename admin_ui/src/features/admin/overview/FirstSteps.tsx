import { Button } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useDeployments, useModels } from "@/api/queries";
import type { HistoryView } from "@/api/types";

import styles from "./overview.module.css";
import { skipFirstSteps, useSkipped } from "./skipped";
import { stepsOf } from "./steps";

/** From nothing to a first answer, until it is there or somebody skips it. */
export function FirstSteps({ history }: { history: HistoryView | undefined }) {
  const { t } = useTranslation();
  const models = useModels().data;
  const deployments = useDeployments().data;
  const skipped = useSkipped((state) => state.skipped);
  if (skipped || !models || !deployments || !history) return null;
  const done = stepsOf(models, deployments, history);
  if (done.ask) return null;
  const open = !done.model ? "model" : !done.deploy ? "deploy" : "ask";
  const step = (name: keyof typeof done, n: number, buttons: ReactNode) => (
    <li className={styles.step} data-step={name} data-done={done[name]} aria-current={open === name ? "step" : undefined}>
      <h3>
        <span className={styles.number} aria-label={t("first.step", { n })}>
          {done[name] ? <IconCheck size={14} stroke={2.5} aria-label={t("first.done")} /> : n}
        </span>
        {t(`first.${name}`)}
      </h3>
      <p>{t(`first.${name}Body`)}</p>
      {!done[name] && <div className={styles.buttons}>{buttons}</div>}
    </li>
  );
  const to = (name: keyof typeof done, path: string, label: string) => (
    <Button component={Link} to={path} variant={open === name ? "filled" : "default"}>
      {label}
    </Button>
  );
  return (
    <section className={styles.first} aria-labelledby="first-steps">
      <div className={styles.firstHead}>
        <h2 id="first-steps">{t("first.title")}</h2>
        <Button variant="subtle" color="gray" onClick={skipFirstSteps}>
          {t("first.skip")}
        </Button>
      </div>
      <ol className={styles.steps}>
        {step("model", 1, to("model", "/admin/models", t("first.modelGo")))}
        {step("deploy", 2, to("deploy", "/admin/deployments?deploy=", t("first.deployGo")))}
        {step(
          "ask",
          3,
          <>
            {to("ask", "/", t("first.askGo"))}
            <Button component={Link} to="/admin/connect" variant="default">
              {t("first.connectGo")}
            </Button>
          </>,
        )}
      </ol>
    </section>
  );
}
