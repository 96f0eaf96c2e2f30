import { Button, Textarea } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { fill, variablesOf } from "./fill";
import styles from "./templates.module.css";
import type { Template } from "./useTemplates";

interface Props {
  template: Template;
  onBack: () => void;
  onInsert: (text: string) => void;
  onEdit: () => void;
}

/** One field for each variable; what comes of it shows below. */
export function TemplateForm({ template, onBack, onInsert, onEdit }: Props) {
  const { t } = useTranslation();
  const [values, setValues] = useState<Record<string, string>>({});
  const names = variablesOf(template.text);
  const insert = (event: FormEvent) => {
    event.preventDefault();
    onInsert(fill(template.text, values));
  };
  return (
    <form onSubmit={insert}>
      <div className={styles.actions}>
        <Button variant="default" leftSection={<IconArrowLeft size={14} stroke={2} />} onClick={onBack}>
          {t("templates.back")}
        </Button>
        <Button variant="default" onClick={onEdit}>
          {t(template.own ? "templates.edit" : "templates.copy")}
        </Button>
      </div>
      {names.length === 0 && <p className={styles.none}>{t("templates.noVariables")}</p>}
      {names.map((name, index) => (
        <Textarea
          key={name}
          label={name}
          value={values[name] ?? ""}
          onChange={(event) => setValues({ ...values, [name]: event.currentTarget.value })}
          autosize
          minRows={1}
          maxRows={8}
          autoFocus={index === 0}
        />
      ))}
      <section aria-label={t("templates.preview")}>
        <h3 className={styles.heading}>{t("templates.preview")}</h3>
        <p className={styles.preview}>{fill(template.text, values)}</p>
      </section>
      <Button type="submit">{t("templates.insert")}</Button>
    </form>
  );
}
