import { Checkbox, NumberInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { SwapBody } from "@/api/types";

import styles from "./swap.module.css";

type Canary = NonNullable<SwapBody["canary"]>;

const USUAL: Canary = { share: 0.1, for_s: 600, requests: 100 };

interface Props {
  /** Null: the new revision follows at once. */
  value: Canary | null | undefined;
  onChange: (value: Canary | null) => void;
}

/** Whether the new revision is tried on a part of the sessions first, and on what terms. */
export function CanaryFields({ value, onChange }: Props) {
  const { t } = useTranslation();
  const number = (set: (wanted: number) => Partial<Canary>) => (typed: number | string) => {
    if (value && typeof typed === "number") onChange({ ...value, ...set(typed) });
  };
  return (
    <>
      <Checkbox
        label={t("swap.canary")}
        description={t("swap.canaryHelp")}
        checked={Boolean(value)}
        onChange={(event) => onChange(event.currentTarget.checked ? USUAL : null)}
      />
      {value && (
        <div className={styles.canary}>
          <NumberInput
            label={t("swap.canaryShare")}
            value={Math.round(value.share * 100)}
            onChange={number((percent) => ({ share: percent / 100 }))}
            min={1}
            max={99}
            suffix=" %"
          />
          <NumberInput
            label={t("swap.canaryFor")}
            value={value.for_s / 60}
            onChange={number((minutes) => ({ for_s: minutes * 60 }))}
            min={0}
            max={10080}
          />
          <NumberInput
            label={t("swap.canaryRequests")}
            value={value.requests}
            onChange={number((requests) => ({ requests: Math.max(1, Math.round(requests)) }))}
            min={1}
          />
        </div>
      )}
    </>
  );
}
