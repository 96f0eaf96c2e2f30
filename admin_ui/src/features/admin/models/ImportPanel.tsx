import { Button, Checkbox, Textarea, TextInput, UnstyledButton } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { FailureNotice } from "@/ui/FailureNotice";
import { SidePanel } from "@/ui/SidePanel";

import { useImport } from "./actions";
import styles from "./models.module.css";
import { HubSearch } from "./search/HubSearch";

const EXAMPLES = [
  ["builtin:smollm2", "exampleBuiltin"],
  ["hf:Qwen/Qwen3-0.6B", "exampleHub"],
  ["modelscope:Qwen/Qwen3-0.6B", "exampleModelscope"],
  ["s3://bucket/my-model", "exampleBucket"],
  ["/srv/weights/my-model", "exampleFolder"],
] as const;

export function ImportPanel({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [source, setSource] = useState("");
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [notes, setNotes] = useState("");
  const [link, setLink] = useState(false);
  const [tooLarge, setTooLarge] = useState(false);
  const importing = useImport(onClose);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!source.trim()) return;
    importing.mutate({
      source: source.trim(),
      name: name.trim() || null,
      description,
      notes,
      link,
      even_if_too_large: tooLarge,
    });
  };
  return (
    <SidePanel title={t("admin.models.importTitle")} onClose={onClose}>
      <HubSearch source={source} onChoose={setSource} />
      <form onSubmit={submit}>
        <TextInput
          label={t("admin.models.source")}
          description={t("admin.models.sourceHelp")}
          value={source}
          onChange={(event) => setSource(event.currentTarget.value)}
          spellCheck={false}
          required
          withAsterisk={false}
          data-autofocus
        />
        <div className={styles.examples}>
          <span>{t("admin.models.examples")}</span>
          {EXAMPLES.map(([example, words]) => (
            <UnstyledButton key={example} className={styles.example} onClick={() => setSource(example)}>
              <code className="mono">{example}</code>
              <span>{t(`admin.models.${words}`)}</span>
            </UnstyledButton>
          ))}
        </div>
        <TextInput
          label={t("admin.models.name")}
          description={t("admin.models.nameHelp")}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          spellCheck={false}
        />
        <details className={styles.more}>
          <summary>{t("library.import.more")}</summary>
          <div>
            <Textarea
              label={t("library.upload.description")}
              description={t("library.upload.descriptionHelp")}
              value={description}
              onChange={(event) => setDescription(event.currentTarget.value)}
              maxLength={4096}
              autosize
            />
            <Textarea
              label={t("library.upload.notes")}
              description={t("library.upload.notesHelp")}
              value={notes}
              onChange={(event) => setNotes(event.currentTarget.value)}
              maxLength={4096}
              autosize
            />
            <Checkbox
              label={t("library.import.link")}
              description={t("library.import.linkHelp")}
              checked={link}
              onChange={(event) => setLink(event.currentTarget.checked)}
            />
            <Checkbox
              label={t("library.import.tooLarge")}
              description={t("library.import.tooLargeHelp")}
              checked={tooLarge}
              onChange={(event) => setTooLarge(event.currentTarget.checked)}
            />
          </div>
        </details>
        {importing.error && <FailureNotice failure={toFailure(importing.error)} />}
        <Button type="submit" size="sm" loading={importing.isPending} disabled={!source.trim()}>
          {importing.isPending ? t("admin.models.submitting") : t("admin.models.submit")}
        </Button>
      </form>
    </SidePanel>
  );
}
