import { Button, NumberInput, Radio, Select } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "react-router";

import { toFailure } from "@/api/errors";
import { useModels } from "@/api/queries";
import type { DeploymentView, SwapBody } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { shortDigest } from "@/ui/shortDigest";
import { useNow } from "@/ui/useNow";

import { numberOrNull } from "../numberOrNull";
import { useSwap } from "./actions";
import { CanaryFields } from "./CanaryFields";
import styles from "./swap.module.css";

type Strategy = NonNullable<SwapBody["strategy"]> | "auto";

const STRATEGIES: Strategy[] = ["auto", "in-place", "surge", "restart"];

interface Props {
  deployment: DeploymentView;
  /** What it will serve once the swaps that are on have ended. */
  target: string | undefined;
}

/** Choose one of the model's other ready revisions. */
export function SwapForm({ deployment, target = deployment.revision }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(30_000);
  const [chosen, setChosen] = useState("");
  const [strategy, setStrategy] = useState<Strategy>("auto");
  const [deadline, setDeadline] = useState<number | null>(null);
  const [canary, setCanary] = useState<SwapBody["canary"]>(null);
  const swap = useSwap(deployment.name);
  const model = useModels().data?.find((each) => each.name === deployment.model);
  const isSwapping = target !== deployment.revision;
  const others = (model?.revisions ?? []).filter((each) => each.state === "ready" && each.digest !== target).reverse();
  if (others.length === 0)
    return (
      <p className={styles.help}>
        <Trans
          i18nKey="swap.noOther"
          values={{ model: deployment.model }}
          components={{ to: <Link to={`/admin/models/${encodeURIComponent(deployment.model)}`} /> }}
        />
      </p>
    );
  const revision = others.some((each) => each.digest === chosen) ? chosen : "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!revision) return;
    const wanted = strategy === "auto" ? null : strategy;
    swap.mutate(
      { revision, strategy: wanted, deadline_s: deadline, canary, queue: isSwapping },
      { onSuccess: () => setChosen("") },
    );
  };
  return (
    <form onSubmit={submit} className={styles.form}>
      <Radio.Group label={t("swap.to")} value={revision} onChange={setChosen}>
        <div className={styles.revisions}>
          {others.map((each) => (
            <Radio
              key={each.digest}
              value={each.digest}
              label={<span className="mono">{shortDigest(each.digest)}</span>}
              description={[each.notes, format.ago(each.created_at, now)].filter(Boolean).join(" · ")}
            />
          ))}
        </div>
      </Radio.Group>
      <CanaryFields value={canary} onChange={setCanary} />
      <details className={styles.past}>
        <summary>{t("admin.deployments.advanced")}</summary>
        <div className={styles.form}>
          <Select
            label={t("swap.strategy")}
            description={t("swap.strategyHelp")}
            data={STRATEGIES.map((value) => ({ value, label: t(`swap.${value}`) }))}
            value={strategy}
            onChange={(value) => setStrategy((value as Strategy | null) ?? "auto")}
            allowDeselect={false}
          />
          <NumberInput
            label={t("swap.deadline")}
            description={t("swap.deadlineHelp")}
            placeholder={format.number(deployment.drain_deadline_s)}
            value={deadline ?? ""}
            onChange={(value) => setDeadline(numberOrNull(value))}
            min={0}
            max={3600}
          />
        </div>
      </details>
      {swap.error && <FailureNotice failure={toFailure(swap.error)} />}
      <Button type="submit" size="sm" loading={swap.isPending} disabled={!revision}>
        {t(isSwapping ? "swap.queue" : "swap.start")}
      </Button>
    </form>
  );
}
