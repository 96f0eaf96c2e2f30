import { Combobox, UnstyledButton, useCombobox } from "@mantine/core";
import { IconCheck, IconSelector } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import type { CatalogView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { SimulatedBadge } from "@/ui/SimulatedBadge";
import { State } from "@/ui/State";

import type { Choice } from "../state/choice";
import styles from "./ModelPicker.module.css";

interface Props {
  catalog: CatalogView[];
  choice: Choice;
  onChoose: (model: string) => void;
  /** The one beside the first. */
  second?: boolean;
}

export function ModelPicker({ catalog, choice, onChoose, second = false }: Props) {
  const { t } = useTranslation();
  const say = useSay();
  const box = useCombobox({
    onDropdownClose: () => box.resetSelectedOption(),
    onDropdownOpen: () => box.selectActiveOption(),
  });
  const { entry, name } = choice;
  const state = entry?.status ?? "gone";
  return (
    <Combobox
      store={box}
      position="top-start"
      width={360}
      transitionProps={{ duration: 0 }}
      onOptionSubmit={(chosen) => {
        onChoose(chosen);
        box.closeDropdown();
      }}
    >
      <Combobox.Target targetType="button">
        <UnstyledButton
          className={styles.target}
          data-testid={second ? "other-model-picker" : "model-picker"}
          onClick={() => box.toggleDropdown()}
        >
          <span className="visually-hidden">{t(second ? "picker.second" : "picker.first")}</span>
          <span className={styles.name}>{name ?? t("picker.none")}</span>
          {name && <State state={state} />}
          {entry && <Context tokens={entry.max_model_len} />}
          {entry?.simulated && <SimulatedBadge />}
          <IconSelector size={14} stroke={2} className={styles.caret} aria-hidden />
        </UnstyledButton>
      </Combobox.Target>
      <Combobox.Dropdown className={styles.dropdown}>
        <Combobox.Options aria-label={t("picker.list")} mah={320} className={styles.options}>
          {catalog.length === 0 && <Combobox.Empty>{t("picker.empty")}</Combobox.Empty>}
          {catalog.map((each) => (
            <Combobox.Option key={each.name} value={each.name} active={each.name === name} className={styles.option}>
              <span className={styles.row}>
                <span className={styles.name}>{each.name}</span>
                {each.simulated && <SimulatedBadge />}
                <span className={styles.fill} />
                <Context tokens={each.max_model_len} />
                <IconCheck size={16} stroke={2} className={styles.check} data-chosen={each.name === name} aria-hidden />
              </span>
              <span className={styles.detail}>
                <State state={each.status} reason={say(each.detail, each.sentences["detail"]) || undefined} />
              </span>
            </Combobox.Option>
          ))}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}

function Context({ tokens }: { tokens: number | null }) {
  const { t } = useTranslation();
  const format = useFormat();
  if (tokens === null) return null;
  return <span className={styles.context}>{t("picker.context", { size: format.context(tokens) })}</span>;
}
