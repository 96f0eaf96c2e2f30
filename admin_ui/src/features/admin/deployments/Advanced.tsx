import { Checkbox, NumberInput, Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { Simulation } from "@/api/types";

import type { DeployForm, Problems } from "./deployForm";
import styles from "./deployments.module.css";
import { numberOrNull } from "./numberOrNull";
import { PlacementFields } from "./scaling/PlacementFields";
import { ShareFields } from "./scaling/ScalingFields";

interface Props {
  form: DeployForm;
  onChange: (part: Partial<DeployForm>) => void;
  /** Those that are to be shown. */
  problems: Problems;
}

/** What most people leave as it is. */
export function Advanced({ form, onChange, problems }: Props) {
  const { t } = useTranslation();
  const pace = (label: string, field: keyof Simulation, step: number) => (
    <NumberInput
      label={label}
      value={form.simulation[field]}
      onChange={(value) => onChange({ simulation: { ...form.simulation, [field]: numberOrNull(value) ?? 0 } })}
      min={0}
      step={step}
    />
  );
  return (
    <details className={styles.advanced} open={problems.args || problems.labels || problems.scaling?.weight}>
      <summary>{t("admin.deployments.advanced")}</summary>
      <div>
        {form.followsLoad && (
          <ShareFields
            form={form.scaling}
            problems={problems.scaling ?? {}}
            onChange={(part) => onChange({ scaling: { ...form.scaling, ...part } })}
          />
        )}
        <PlacementFields form={form} badLabels={problems.labels === true} onChange={onChange} />
        <NumberInput
          label={t("admin.deployments.context")}
          description={t("admin.deployments.contextHelp")}
          placeholder={t("admin.deployments.auto")}
          value={form.context ?? ""}
          onChange={(value) => onChange({ context: numberOrNull(value) })}
          min={16}
          step={1024}
          allowDecimal={false}
          thousandSeparator=","
        />
        {form.engine === "vllm" ? (
          <>
            <Textarea
              label={t("admin.deployments.args")}
              placeholder='{"enforce_eager": true}'
              value={form.args}
              onChange={(event) => onChange({ args: event.currentTarget.value })}
              error={problems.args && t("admin.deployments.argsInvalid")}
              autosize
              minRows={2}
              spellCheck={false}
            />
            <Checkbox
              label={t("admin.deployments.sleepMode")}
              description={t("admin.deployments.sleepModeHelp")}
              checked={form.sleepMode}
              onChange={(event) => onChange({ sleepMode: event.currentTarget.checked })}
            />
            <Checkbox
              label={t("library.fit.anyway")}
              checked={form.evenIfTooLarge}
              onChange={(event) => onChange({ evenIfTooLarge: event.currentTarget.checked })}
            />
          </>
        ) : (
          <>
            {pace(t("admin.deployments.startS"), "start_s", 1)}
            {pace(t("admin.deployments.interToken"), "inter_token_s", 0.005)}
            {pace(t("admin.deployments.prefill"), "prefill_tokens_per_s", 1000)}
            {pace(t("admin.deployments.maxRunning"), "max_running", 1)}
          </>
        )}
      </div>
    </details>
  );
}
