import { Button, FileButton } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { TemplateBody } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";

import { listOfFile, saveAsJson } from "../state/files";
import { useAddTemplates, type Template } from "./useTemplates";

/** Own templates as a file, and a file's as own ones. */
export function TransferTemplates({ own }: { own: Template[] }) {
  const { t } = useTranslation();
  const add = useAddTemplates();
  const [file, setFile] = useState<{ name: string; readable: boolean } | null>(null);
  const take = async (chosen: File | null) => {
    if (!chosen) return;
    const list = await listOfFile(chosen, "templates");
    setFile({ name: chosen.name, readable: list !== null });
    // Other fields of a file are not ours to send; the server judges these three.
    const bodies = (list ?? []).map((each) => {
      const { title, category, text } = (each ?? {}) as Partial<TemplateBody>;
      return { title, category, text } as TemplateBody;
    });
    if (list) add.mutate(bodies);
  };
  const bare = own.map(({ title, category, text }) => ({ title, category, text }));
  return (
    <>
      <FileButton accept=".json,application/json" inputProps={{ "aria-label": t("templates.import") }} onChange={(chosen) => void take(chosen)}>
        {(props) => (
          <Button {...props} variant="default" loading={add.isPending}>
            {t("templates.import")}
          </Button>
        )}
      </FileButton>
      <Button variant="default" disabled={own.length === 0} onClick={() => saveAsJson("templates.json", bare)}>
        {t("templates.export")}
      </Button>
      {file && (!file.readable || add.error) && (
        <Notice tone="bad" title={t("templates.importFailed", { file: file.name })}>
          {add.error && file.readable ? <FailureNotice failure={toFailure(add.error)} /> : t("templates.importNotJson")}
        </Notice>
      )}
    </>
  );
}
