import { NumberInput, Slider } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";

import { amountAt, highestStep, lowestStep, stepOf } from "./doublings";
import styles from "./detail.module.css";

interface Props {
  label: string;
  /** null: as much as there can be. */
  value: number | null;
  /** At the right end of the slider; more may be typed. */
  most: number;
  max: number;
  placeholder?: string;
  onChange: (value: number | null) => void;
}

/** A whole number, to be typed, or to be found with a slider. */
export function Amount({ label, value, most, max, placeholder, onChange }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <div>
      <NumberInput
        label={label}
        placeholder={placeholder ?? ""}
        value={value ?? ""}
        onChange={(typed) => onChange(typeof typed === "number" ? typed : null)}
        min={1}
        max={max}
        allowDecimal={false}
        thousandSeparator=","
      />
      <Slider
        className={styles.slider}
        value={stepOf(value ?? most, most)}
        min={lowestStep(most)}
        max={highestStep(most)}
        label={null}
        size={4}
        thumbSize={16}
        thumbLabel={t("library.fit.slider", { of: label })}
        thumbProps={{ "aria-valuetext": format.number(value ?? most) }}
        onChange={(step) => onChange(amountAt(step, most))}
      />
    </div>
  );
}
