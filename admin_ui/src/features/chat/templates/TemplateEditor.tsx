import { Button, Select, Textarea, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { FailureNotice } from "@/ui/FailureNotice";
import { InlineConfirm } from "@/ui/InlineConfirm";

import styles from "./templates.module.css";
import { CATEGORIES, useDeleteTemplate, useSaveTemplate, type Category, type Template } from "./useTemplates";

interface Props {
  /** null: a new one. One of the library is not changed: what comes of it is one's own. */
  template: Template | null;
  onDone: () => void;
}

export function TemplateEditor({ template, onDone }: Props) {
  const { t } = useTranslation();
  const [title, setTitle] = useState(template?.title ?? "");
  const [category, setCategory] = useState<Category>(template?.category ?? "writing");
  const [text, setText] = useState(template?.text ?? "");
  const [asking, setAsking] = useState(false);
  const save = useSaveTemplate();
  const remove = useDeleteTemplate();
  const id = template?.own ? template.id : null;
  const complete = title.trim() !== "" && text.trim() !== "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (complete) save.mutate({ id, body: { title: title.trim(), category, text } }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <h3 className={styles.heading}>{t(id === null ? "templates.create" : "templates.editTitle")}</h3>
      <TextInput
        label={t("templates.name")}
        maxLength={120}
        value={title}
        onChange={(event) => setTitle(event.currentTarget.value)}
        autoFocus
      />
      <Select
        label={t("templates.category")}
        data={CATEGORIES.map((value) => ({ value, label: t(`templates.${value}`) }))}
        value={category}
        onChange={(value) => setCategory((value ?? category) as Category)}
        allowDeselect={false}
      />
      <Textarea
        label={t("templates.text")}
        description={t("templates.textHelp", { example: "{{topic}}" })}
        maxLength={20_000}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        autosize
        minRows={6}
        maxRows={20}
      />
      {save.error && <FailureNotice failure={toFailure(save.error)} />}
      {asking && id !== null && (
        <InlineConfirm
          question={t("templates.deleteAsk", { name: template?.title ?? "" })}
          action={t("common.delete")}
          busy={remove.isPending}
          failure={remove.error && toFailure(remove.error)}
          onConfirm={() => remove.mutate(id, { onSuccess: onDone })}
          onCancel={() => setAsking(false)}
        />
      )}
      <div className={styles.actions}>
        <Button type="submit" disabled={!complete} loading={save.isPending}>
          {t("templates.save")}
        </Button>
        <Button variant="default" onClick={onDone}>
          {t("common.cancel")}
        </Button>
        {id !== null && !asking && (
          <Button variant="subtle" color="red" onClick={() => setAsking(true)}>
            {t("common.delete")}
          </Button>
        )}
      </div>
    </form>
  );
}
