import { Button } from "@mantine/core";
import { IconPencil } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { ModelView } from "@/api/types";
import { Dim } from "@/ui/Text";

import { AboutForm } from "./AboutForm";
import styles from "./detail.module.css";
import { Section } from "./Section";

/** What people say of a model: description, tags, licence, task. */
export function About({ model }: { model: ModelView }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  const said = { task: model.task, licence: model.licence, tags: model.tags.join(", ") };
  const edit = (
    <Button
      variant="default"
      leftSection={<IconPencil size={14} stroke={1.75} />}
      onClick={() => setEditing(true)}
      disabled={editing}
    >
      {t("library.about.edit")}
    </Button>
  );
  return (
    <Section title={t("library.about.title")} tools={edit}>
      {editing ? (
        <AboutForm model={model} onDone={() => setEditing(false)} />
      ) : (
        <>
          <p className={styles.text}>{model.description || <Dim>{t("library.about.none")}</Dim>}</p>
          <dl className={styles.said}>
            {Object.entries(said).map(([name, value]) => (
              <div key={name}>
                <dt>{t(`library.about.${name as keyof typeof said}`)}</dt>
                <dd>{value || <Dim>–</Dim>}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </Section>
  );
}
