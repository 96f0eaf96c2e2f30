import { UnstyledButton } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import type { HubModelView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useNow } from "@/ui/useNow";

import styles from "./search.module.css";

interface Props {
  models: HubModelView[];
  hub: string;
  source: string;
  onChoose: (source: string) => void;
}

/** In the hub's own order. */
export function FoundModels({ models, hub, source, onChoose }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const facts = useFacts();
  return (
    <>
      <p role="status">{t("library.search.found", { n: format.number(models.length), hub })}</p>
      <ul className={styles.found} aria-label={t("library.search.results")}>
        {models.map((model) => (
          <li key={model.id}>
            <UnstyledButton
              className={styles.model}
              aria-pressed={model.source === source}
              onClick={() => onChoose(model.source)}
            >
              <span className={styles.id}>
                <code className="mono">{model.id}</code>
                {model.source === source && <IconCheck size={14} stroke={2} aria-hidden />}
              </span>
              <span>{facts(model)}</span>
              {model.in_library && (
                <strong>{t("library.search.inLibrary", { name: model.in_library })}</strong>
              )}
              {model.gated && <strong>{t("library.search.gated")}</strong>}
            </UnstyledButton>
          </li>
        ))}
      </ul>
    </>
  );
}

/** What the hub tells, in one line. */
function useFacts(): (model: HubModelView) => string {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(60_000);
  const count = (words: "parameters" | "downloads" | "likes", value: number | null) =>
    value === null ? "" : t(`library.search.${words}`, { n: format.compact(value) });
  return (model) =>
    [
      model.task,
      count("parameters", model.parameters),
      model.licence,
      count("downloads", model.downloads),
      count("likes", model.likes),
      model.updated_at === null ? "" : format.ago(model.updated_at, now),
    ]
      .filter(Boolean)
      .join(" · ");
}
