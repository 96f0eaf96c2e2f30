import { Button, NumberInput, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "react-router";

import { toFailure } from "@/api/errors";
import { useDeployments, useModels } from "@/api/queries";
import type { DeploymentView, RevisionView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";
import { shortDigest } from "@/ui/shortDigest";
import { SidePanel } from "@/ui/SidePanel";

import { useDeploy } from "./actions";
import { Advanced } from "./Advanced";
import { nameOf, problemsOf, type DeployForm } from "./deployForm";
import styles from "./deployments.module.css";
import { numberOrNull } from "./numberOrNull";
import { HowMany } from "./scaling/HowMany";

interface Props {
  /** What the form holds at first. */
  start: DeployForm;
  /** The deployment that is changed; else a new one is made. */
  changed?: DeploymentView;
  onClose: () => void;
}

export function DeployPanel({ start, changed, onClose }: Props) {
  const { t } = useTranslation();
  const [form, setForm] = useState(start);
  const [tried, setTried] = useState(false);
  const ready = (useModels().data ?? []).filter((each) => each.state === "ready");
  const revisions = (ready.find((each) => each.name === form.model)?.revisions ?? [])
    .filter((each) => each.state === "ready")
    .reverse();
  const deployments = useDeployments().data ?? [];
  const deploy = useDeploy(onClose);
  const change = (part: Partial<DeployForm>) => setForm((old) => ({ ...old, ...part }));
  const problems = problemsOf(form);
  const shown = tried ? problems : {};
  const name = nameOf(form);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(problems).length === 0) deploy.mutate(form);
  };
  return (
    <SidePanel
      title={changed ? t("admin.deployments.changeTitle", { name }) : t("admin.deployments.deployTitle")}
      onClose={onClose}
    >
      <form onSubmit={submit} noValidate>
        <SegmentedControl
          aria-label={t("col.engine")}
          fullWidth
          value={form.engine}
          // Arguments of one engine mean nothing to the other.
          onChange={(engine) => change({ engine: engine as DeployForm["engine"], args: "" })}
          data={[
            { value: "vllm", label: t("admin.deployments.vllm") },
            { value: "simulated", label: t("admin.deployments.simulated") },
          ]}
        />
        {form.engine === "simulated" && <p className={styles.help}>{t("admin.deployments.simulatedHelp")}</p>}
        {form.engine === "vllm" && ready.length === 0 && (
          <p className={styles.help}>
            <Trans i18nKey="admin.deployments.noModels" components={{ to: <Link to="/admin/models?import" /> }} />
          </p>
        )}
        {form.engine === "vllm" && ready.length > 0 && (
          <Select
            label={t("admin.deployments.model")}
            placeholder={t("admin.deployments.modelPlaceholder")}
            data={ready.map((each) => each.name)}
            value={form.model}
            onChange={(chosen) => change({ model: chosen, revision: null })}
            error={shown.model && t("admin.deployments.modelPlaceholder")}
            searchable={ready.length > 8}
          />
        )}
        {form.engine === "vllm" && revisions.length > 1 && (
          <Select
            label={t("col.revision")}
            placeholder={t("admin.deployments.newest")}
            data={revisions.map((each) => ({ value: each.digest, label: labelOf(each) }))}
            value={form.revision}
            onChange={(chosen) => change({ revision: chosen })}
            clearable
          />
        )}
        {!changed && (
          <TextInput
            label={t("admin.deployments.name")}
            description={t("admin.deployments.nameHelp")}
            placeholder={nameOf({ ...form, name: "" })}
            value={form.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
            error={shown.name && !shown.model && t("admin.deployments.nameInvalid")}
          />
        )}
        <HowMany form={form} problems={shown.scaling ?? {}} onChange={change} />
        {form.engine === "vllm" && (
          <NumberInput
            label={t("admin.deployments.gpus")}
            placeholder={t("admin.deployments.auto")}
            value={form.gpus ?? ""}
            onChange={(value) => change({ gpus: numberOrNull(value) })}
            min={0}
            step={1}
          />
        )}
        <Advanced form={form} onChange={change} problems={shown} />
        {changed && <p className={styles.help}>{t("admin.deployments.changeHelp")}</p>}
        {!changed && deployments.some((each) => each.name === name) && (
          <Notice tone="wait">{t("admin.deployments.replaces", { name })}</Notice>
        )}
        {deploy.error && <FailureNotice failure={toFailure(deploy.error)} />}
        <Button type="submit" size="sm" loading={deploy.isPending}>
          {t(deploy.isPending ? "admin.deployments.submitting" : changed ? "admin.deployments.change" : "admin.deployments.submit")}
        </Button>
      </form>
    </SidePanel>
  );
}

const labelOf = ({ digest, notes }: RevisionView) => [shortDigest(digest), notes].filter(Boolean).join(" · ");
