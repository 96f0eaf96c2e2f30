import { Button, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { ModelView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";
import { onEscape } from "@/ui/onEscape";

import { useDescribe } from "../actions";
import styles from "./detail.module.css";

export function AboutForm({ model, onDone }: { model: ModelView; onDone: () => void }) {
  const { t } = useTranslation();
  const [form, setForm] = useState({
    description: model.description,
    task: model.task,
    licence: model.licence,
    tags: model.tags,
  });
  const change = (part: Partial<typeof form>) => setForm((old) => ({ ...old, ...part }));
  const describe = useDescribe(model.name, onDone);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    // The task is shown as the architecture tells it: unless it was changed, nobody has said one.
    const { task, ...others } = form;
    describe.mutate(task === model.task ? others : form);
  };
  return (
    <form
      className={styles.form}
      onSubmit={submit}
      onKeyDown={onEscape(onDone)}
    >
      <Textarea
        label={t("library.upload.description")}
        value={form.description}
        onChange={(event) => change({ description: event.currentTarget.value })}
        maxLength={4096}
        minRows={2}
        autosize
        autoFocus
      />
      <div className={styles.fields}>
        <TextInput
          label={t("library.about.task")}
          value={form.task}
          onChange={(event) => change({ task: event.currentTarget.value })}
          maxLength={64}
        />
        <TextInput
          label={t("library.about.licence")}
          value={form.licence}
          onChange={(event) => change({ licence: event.currentTarget.value })}
          maxLength={128}
        />
        <TagsInput
          label={t("library.about.tags")}
          placeholder={form.tags.length === 0 ? t("library.about.tagsHelp") : ""}
          value={form.tags}
          onChange={(tags) => change({ tags })}
          maxTags={32}
          acceptValueOnBlur
        />
      </div>
      {describe.error && <FailureNotice failure={toFailure(describe.error)} />}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onDone}>
          {t("common.cancel")}
        </Button>
        <Button type="submit" loading={describe.isPending}>
          {t("library.about.save")}
        </Button>
      </div>
    </form>
  );
}
