import { Select, TagsInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { DeployForm } from "../deployForm";

interface Props {
  form: DeployForm;
  badLabels: boolean;
  onChange: (part: Partial<DeployForm>) => void;
}

const PLACEMENTS = ["spread", "pack"] as const;

/** Where replicas start. */
export function PlacementFields({ form, badLabels, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <>
      <Select
        label={t("scaling.place.label")}
        description={t(`scaling.place.${form.placement}Help`)}
        data={PLACEMENTS.map((value) => ({ value, label: t(`scaling.place.${value}`) }))}
        value={form.placement}
        onChange={(value) => onChange({ placement: value === "pack" ? "pack" : "spread" })}
        allowDeselect={false}
      />
      <TagsInput
        label={t("scaling.place.labels")}
        description={t("scaling.place.labelsHelp")}
        placeholder={form.labels.length === 0 ? "gpu=4090d" : ""}
        value={form.labels}
        onChange={(labels) => onChange({ labels })}
        error={badLabels && t("scaling.place.labelsInvalid")}
        acceptValueOnBlur
      />
    </>
  );
}
