import { ActionIcon, Input, Slider, Tooltip } from "@mantine/core";
import { IconArrowBackUp } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import styles from "./Dial.module.css";

interface Props {
  label: string;
  help: string;
  /** null: the model's default. */
  value: number | null;
  max: number;
  /** Where the handle rests while nothing is chosen. */
  resting: number;
  onChange: (value: number | null) => void;
}

/** A slider from 0 that may also say nothing and leave the choice to the model. */
export function Dial({ label, help, value, max, resting, onChange }: Props) {
  const { t } = useTranslation();
  const reset = t("settings.resetOne", { name: label });
  return (
    <Input.Wrapper label={label} description={help} labelElement="div">
      <div className={styles.dial} data-set={value !== null}>
        <Slider
          className={styles.slider}
          value={value ?? resting}
          min={0}
          max={max}
          step={0.05}
          label={null}
          size={4}
          thumbSize={16}
          thumbLabel={label}
          thumbProps={{ "aria-valuetext": value === null ? t("settings.modelDefault") : String(value) }}
          onChange={(next) => onChange(Number(next.toFixed(2)))}
        />
        <span className={styles.value}>{value === null ? t("settings.modelDefault") : value.toFixed(2)}</span>
        <Tooltip label={reset}>
          <ActionIcon size={24} aria-label={reset} disabled={value === null} onClick={() => onChange(null)}>
            <IconArrowBackUp size={16} stroke={1.75} />
          </ActionIcon>
        </Tooltip>
      </div>
    </Input.Wrapper>
  );
}
