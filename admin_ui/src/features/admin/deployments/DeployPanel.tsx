import { Button, NumberInput, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "react-router";

import { toFailure } from "@/api/errors";
import { useDeployments, useModels } from "@/api/queries";
import type { RevisionView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";
import { shortDigest } from "@/ui/shortDigest";
import { SidePanel } from "@/ui/SidePanel";

import { useDeploy } from "./actions";
import { Advanced } from "./Advanced";
import { EMPTY_FORM, nameOf, problemsOf, type DeployForm } from "./deployForm";
import styles from "./deployments.module.css";
import { numberOrNull } from "./numberOrNull";

interface Props {
  /** Chosen already, or "". */
  model: string;
  /** One of its revisions, or "" for the newest. */
  revision: string;
  onClose: () => void;
}

export function DeployPanel({ model, revision, onClose }: Props) {
  const { t } = useTranslation();
  const [form, setForm] = useState<DeployForm>({
    ...EMPTY_FORM,
    model: model || null,
    revision: revision || null,
  });
  const [tried, setTried] = useState(false);
  const ready = (useModels().data ?? []).filter((each) => each.state === "ready");
  const revisions = (ready.find((each) => each.name === form.model)?.revisions ?? [])
    .filter((each) => each.state === "ready")
    .reverse();
  const deployments = useDeployments().data ?? [];
  const deploy = useDeploy(onClose);
  const change = (part: Partial<DeployForm>) => setForm((old) => ({ ...old, ...part }));
  const problems = problemsOf(form);
  const name = nameOf(form);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(problems).length === 0) deploy.mutate(form);
  };
  return (
    <SidePanel title={t("admin.deployments.deployTitle")} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <SegmentedControl
          aria-label={t("col.engine")}
          fullWidth
          value={form.engine}
          onChange={(engine) => change({ engine: engine as DeployForm["engine"] })}
          data={[
            { value: "vllm", label: t("admin.deployments.vllm") },
            { value: "simulated", label: t("admin.deployments.simulated") },
          ]}
        />
        {form.engine === "simulated" && <p className={styles.help}>{t("admin.deployments.simulatedHelp")}</p>}
        {form.engine === "vllm" && ready.length === 0 && (
          <p className={styles.help}>
            <Trans i18nKey="admin.deployments.noModels" components={{ link: <Link to="/admin/models?import" /> }} />
          </p>
        )}
        {form.engine === "vllm" && ready.length > 0 && (
          <Select
            label={t("admin.deployments.model")}
            placeholder={t("admin.deployments.modelPlaceholder")}
            data={ready.map((each) => each.name)}
            value={form.model}
            onChange={(chosen) => change({ model: chosen, revision: null })}
            error={tried && problems.model && t("admin.deployments.modelPlaceholder")}
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
        <TextInput
          label={t("admin.deployments.name")}
          description={t("admin.deployments.nameHelp")}
          placeholder={nameOf({ ...form, name: "" })}
          value={form.name}
          onChange={(event) => change({ name: event.currentTarget.value })}
          error={tried && problems.name && !problems.model && t("admin.deployments.nameInvalid")}
        />
        <div className={styles.pair}>
          <NumberInput
            label={t("admin.deployments.replicas")}
            value={form.replicas}
            onChange={(value) => change({ replicas: numberOrNull(value) ?? 0 })}
            min={0}
            max={1024}
            allowDecimal={false}
          />
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
        </div>
        <Advanced form={form} onChange={change} badArgs={tried && problems.args === true} />
        {deployments.some((each) => each.name === name) && (
          <Notice tone="wait">{t("admin.deployments.replaces", { name })}</Notice>
        )}
        {deploy.error && <FailureNotice failure={toFailure(deploy.error)} />}
        <Button type="submit" size="sm" loading={deploy.isPending}>
          {deploy.isPending ? t("admin.deployments.submitting") : t("admin.deployments.submit")}
        </Button>
      </form>
    </SidePanel>
  );
}

const labelOf = ({ digest, notes }: RevisionView) => [shortDigest(digest), notes].filter(Boolean).join(" · ");
