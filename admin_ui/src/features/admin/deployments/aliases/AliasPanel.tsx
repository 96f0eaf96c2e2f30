import { ActionIcon, Button, NumberInput, Select, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useDeployments } from "@/api/queries";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { SidePanel } from "@/ui/SidePanel";

import styles from "../deployments.module.css";
import { numberOrNull } from "../numberOrNull";
import { usePutAlias } from "./actions";
import { NEW_TARGET, problemsOfAlias, sharesOf, type AliasForm, type TargetForm, type TargetProblem } from "./aliasForm";

interface Props {
  start: AliasForm;
  /** It is there already: its name stays. */
  exists: boolean;
  onClose: () => void;
}

/** A public name, and the deployments that share its sessions. */
export function AliasPanel({ start, exists, onClose }: Props) {
  const { t } = useTranslation();
  const [form, setForm] = useState(start);
  const [tried, setTried] = useState(false);
  const put = usePutAlias(onClose);
  const problems = problemsOfAlias(form);
  const shown = tried ? problems : {};
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(problems).length === 0) put.mutate(form);
  };
  return (
    <SidePanel title={exists ? t("alias.changeTitle", { name: start.name }) : t("alias.newTitle")} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        {!exists && (
          <TextInput
            label={t("admin.deployments.name")}
            description={t("alias.nameHelp")}
            value={form.name}
            onChange={(event) => setForm({ ...form, name: event.currentTarget.value })}
            error={shown.name && t("admin.deployments.nameInvalid")}
            spellCheck={false}
          />
        )}
        <Targets
          targets={form.targets}
          problems={shown.targets ?? {}}
          onChange={(targets) => setForm({ ...form, targets })}
        />
        {put.error && <FailureNotice failure={toFailure(put.error)} />}
        <Button type="submit" size="sm" loading={put.isPending}>
          {t(exists ? "alias.change" : "alias.add")}
        </Button>
      </form>
    </SidePanel>
  );
}

interface TargetsProps {
  targets: TargetForm[];
  /** By the row. */
  problems: Record<number, TargetProblem>;
  onChange: (targets: TargetForm[]) => void;
}

function Targets({ targets, problems, onChange }: TargetsProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const names = (useDeployments().data ?? []).map((each) => each.name);
  const shares = sharesOf(targets);
  const change = (row: number, part: Partial<TargetForm>) =>
    onChange(targets.map((each, index) => (index === row ? { ...each, ...part } : each)));
  return (
    <fieldset className={styles.schedules}>
      <legend>{t("alias.targets")}</legend>
      <p className={styles.help}>{t("alias.targetsHelp")}</p>
      {targets.map(({ model, weight }, row) => (
        <div key={row} className={styles.schedule} role="group" aria-label={t("alias.target", { n: row + 1 })}>
          <div className={styles.scheduleHead}>
            <Select
              label={t("col.deployment")}
              className={styles.grow}
              data={names}
              value={model}
              onChange={(chosen) => change(row, { model: chosen })}
              error={problems[row] === "model" || problems[row] === "twice"}
            />
            <NumberInput
              label={t("scaling.form.weight")}
              className={styles.weight}
              value={weight ?? ""}
              onChange={(value) => change(row, { weight: numberOrNull(value) })}
              error={problems[row] === "weight"}
              min={0}
              max={1_000_000}
            />
            <ActionIcon
              aria-label={t("alias.remove", { n: row + 1 })}
              disabled={targets.length === 1}
              onClick={() => onChange(targets.toSpliced(row, 1))}
            >
              <IconTrash size={16} stroke={1.75} />
            </ActionIcon>
          </div>
          {problems[row] ? (
            <p className={styles.problem} role="alert">
              {t(`alias.${problems[row]}Invalid`)}
            </p>
          ) : (
            <p className={styles.help}>{t("alias.share", { percent: format.number((shares[row] ?? 0) * 100, 1) })}</p>
          )}
        </div>
      ))}
      <Button
        variant="default"
        leftSection={<IconPlus size={14} stroke={2} />}
        onClick={() => onChange([...targets, NEW_TARGET])}
      >
        {t("alias.addTarget")}
      </Button>
    </fieldset>
  );
}
