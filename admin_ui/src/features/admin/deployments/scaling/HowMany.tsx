import { NumberInput, SegmentedControl } from "@mantine/core";
import { useId } from "react";
import { useTranslation } from "react-i18next";

import type { DeployForm } from "../deployForm";
import styles from "../deployments.module.css";
import { numberOrNull } from "../numberOrNull";
import { ScalingFields } from "./ScalingFields";
import type { ScalingProblems } from "./scalingForm";

interface Props {
  form: DeployForm;
  problems: ScalingProblems;
  onChange: (part: Partial<DeployForm>) => void;
}

/** A fixed number of replicas, or one that follows the load. */
export function HowMany({ form, problems, onChange }: Props) {
  const { t } = useTranslation();
  const label = useId();
  return (
    <>
      <div>
        <div id={label} className={styles.label}>
          {t("scaling.form.how")}
        </div>
        <SegmentedControl
          aria-labelledby={label}
          fullWidth
          value={form.followsLoad ? "follows" : "fixed"}
          onChange={(value) => onChange({ followsLoad: value === "follows" })}
          data={[
            { value: "fixed", label: t("scaling.form.fixed") },
            { value: "follows", label: t("scaling.form.follows") },
          ]}
        />
      </div>
      {form.followsLoad ? (
        <ScalingFields
          form={form.scaling}
          problems={problems}
          onChange={(part) => onChange({ scaling: { ...form.scaling, ...part } })}
        />
      ) : (
        <NumberInput
          label={t("admin.deployments.replicas")}
          value={form.replicas}
          onChange={(value) => onChange({ replicas: numberOrNull(value) ?? 0 })}
          min={0}
          max={1024}
          allowDecimal={false}
        />
      )}
    </>
  );
}
