import { Button, NumberInput, SegmentedControl } from "@mantine/core";
import { useId, useState, type Ref } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { DeploymentView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";

import styles from "../deployments.module.css";
import { useScale } from "./actions";
import { HOLDS, type Hold } from "./holds";

interface Props {
  deployment: DeploymentView;
  wanted: number;
  field: Ref<HTMLInputElement>;
}

/** Another number, for a time or until it is taken back; for good where the number is fixed. */
export function SetByHand({ deployment, wanted, field }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState<number | string | null>(null);
  const [hold, setHold] = useState<Hold>("twoHours");
  const label = useId();
  const scale = useScale(deployment.name);
  const follows = deployment.scaling !== null;
  // Until something is typed the field shows what is wanted now, which may change.
  const replicas = typed ?? wanted;
  const changes = typeof replicas === "number" && (follows || replicas !== wanted);
  return (
    <form
      className={styles.byHand}
      onSubmit={(event) => {
        event.preventDefault();
        if (!changes) return;
        scale.mutate({ replicas, for_s: follows ? HOLDS[hold] : null }, { onSuccess: () => setTyped(null) });
      }}
    >
      <div className={styles.setNumber}>
        <NumberInput
          ref={field}
          label={follows ? t("scaling.hand.title") : t("scaling.hand.label")}
          value={replicas}
          onChange={setTyped}
          min={0}
          max={1024}
          allowDecimal={false}
        />
        <Button type="submit" size="sm" loading={scale.isPending} disabled={!changes}>
          {t("scaling.hand.set")}
        </Button>
      </div>
      {follows && (
        <div>
          <div id={label} className={styles.label}>
            {t("scaling.hand.for")}
          </div>
          <SegmentedControl
            aria-labelledby={label}
            size="xs"
            fullWidth
            value={hold}
            onChange={(value) => setHold(value as Hold)}
            data={(Object.keys(HOLDS) as Hold[]).map((value) => ({ value, label: t(`scaling.hand.${value}`) }))}
          />
        </div>
      )}
      {scale.error && <FailureNotice failure={toFailure(scale.error)} />}
    </form>
  );
}
