import { NumberInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

import styles from "../deployments.module.css";
import { numberOrNull } from "../numberOrNull";
import type { ScalingForm, ScalingProblems } from "./scalingForm";
import { Schedules } from "./Schedules";

interface Props {
  form: ScalingForm;
  problems: ScalingProblems;
  onChange: (part: Partial<ScalingForm>) => void;
}

/** What an admin says of a number that follows the load. */
export function ScalingFields({ form, problems, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <>
      <p className={styles.help}>{t("scaling.form.followsHelp")}</p>
      <div className={styles.pair}>
        <NumberInput
          label={t("scaling.form.min")}
          value={form.min ?? ""}
          onChange={(value) => onChange({ min: numberOrNull(value) })}
          min={0}
          max={1024}
          allowDecimal={false}
          error={problems.bounds}
        />
        <NumberInput
          label={t("scaling.form.max")}
          value={form.max ?? ""}
          onChange={(value) => onChange({ max: numberOrNull(value) })}
          min={1}
          max={1024}
          allowDecimal={false}
          error={problems.bounds}
        />
      </div>
      {problems.bounds ? (
        <p className={styles.problem} role="alert">
          {t("scaling.form.boundsInvalid")}
        </p>
      ) : (
        <p className={styles.help}>{t("scaling.form.mayHelp")}</p>
      )}
      <div className={styles.pair}>
        <NumberInput
          label={t("scaling.form.wait")}
          description={t("scaling.form.waitHelp")}
          placeholder={t("admin.deployments.auto")}
          value={form.targetWaitS ?? ""}
          onChange={(value) => onChange({ targetWaitS: numberOrNull(value) })}
          min={0.1}
          max={3600}
        />
        {form.min === 0 && (
          <NumberInput
            label={t("scaling.form.idle")}
            description={t("scaling.form.idleHelp")}
            placeholder={t("admin.deployments.auto")}
            value={form.idleMinutes ?? ""}
            onChange={(value) => onChange({ idleMinutes: numberOrNull(value) })}
            min={0}
            max={43_200}
          />
        )}
      </div>
      <Schedules
        schedules={form.schedules}
        problems={problems.schedules ?? {}}
        onChange={(schedules) => onChange({ schedules })}
      />
    </>
  );
}

/** Who goes first where GPUs are short: one of the things that most people leave as they are. */
export function ShareFields({ form, problems, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <>
      <div className={styles.pair}>
        <NumberInput
          label={t("scaling.form.priority")}
          description={t("scaling.form.priorityHelp")}
          value={form.priority}
          onChange={(value) => onChange({ priority: numberOrNull(value) ?? 0 })}
          min={-1000}
          max={1000}
          allowDecimal={false}
        />
        <NumberInput
          label={t("scaling.form.weight")}
          description={t("scaling.form.weightHelp")}
          value={form.weight}
          onChange={(value) => onChange({ weight: numberOrNull(value) ?? 0 })}
          min={0}
          max={1000}
          error={problems.weight && t("scaling.form.weightInvalid")}
        />
      </div>
      <p className={styles.help}>{t("scaling.form.shares")}</p>
    </>
  );
}
