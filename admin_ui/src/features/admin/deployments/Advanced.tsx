import { Checkbox, NumberInput, Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { DeployForm } from "./deployForm";
import styles from "./deployments.module.css";
import { numberOrNull } from "./numberOrNull";

interface Props {
  form: DeployForm;
  onChange: (part: Partial<DeployForm>) => void;
  badArgs: boolean;
}

/** What most people leave as it is. */
export function Advanced({ form, onChange, badArgs }: Props) {
  const { t } = useTranslation();
  const pace = (label: string, field: "startS" | "interTokenS" | "prefill" | "maxRunning", step: number) => (
    <NumberInput
      label={label}
      value={form[field]}
      onChange={(value) => onChange({ [field]: numberOrNull(value) ?? 0 })}
      min={0}
      step={step}
    />
  );
  return (
    <details className={styles.advanced} open={badArgs || undefined}>
      <summary>{t("admin.deployments.advanced")}</summary>
      <div>
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
              error={badArgs && t("admin.deployments.argsInvalid")}
              autosize
              minRows={2}
              spellCheck={false}
            />
            <Checkbox
              label={t("library.fit.anyway")}
              checked={form.evenIfTooLarge}
              onChange={(event) => onChange({ evenIfTooLarge: event.currentTarget.checked })}
            />
          </>
        ) : (
          <>
            {pace(t("admin.deployments.startS"), "startS", 1)}
            {pace(t("admin.deployments.interToken"), "interTokenS", 0.005)}
            {pace(t("admin.deployments.prefill"), "prefill", 1000)}
            {pace(t("admin.deployments.maxRunning"), "maxRunning", 1)}
          </>
        )}
      </div>
    </details>
  );
}
