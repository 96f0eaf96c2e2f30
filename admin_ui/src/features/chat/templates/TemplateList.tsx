import { Button, Chip, TextInput, UnstyledButton } from "@mantine/core";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { FailureNotice } from "@/ui/FailureNotice";

import { matches } from "./fill";
import styles from "./templates.module.css";
import { TransferTemplates } from "./TransferTemplates";
import { CATEGORIES, useLibrary, useOwn, type Template } from "./useTemplates";

interface Props {
  onUse: (template: Template) => void;
  onCreate: () => void;
}

const SHOWN = ["all", ...CATEGORIES, "own"] as const;

export function TemplateList({ onUse, onCreate }: Props) {
  const { t } = useTranslation();
  const library = useLibrary();
  const own = useOwn();
  const [words, setWords] = useState("");
  const [shown, setShown] = useState<string>("all");
  const all = [...(own.data ?? []), ...(library.data ?? [])];
  const found = all.filter(
    (each) => matches(each, words) && (shown === "all" || (shown === "own" ? each.own : each.category === shown)),
  );
  return (
    <div>
      <TextInput
        aria-label={t("templates.search")}
        placeholder={t("templates.search")}
        leftSection={<IconSearch size={14} stroke={2} />}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
      <Chip.Group value={shown} onChange={(value) => setShown(String(value))}>
        <div className={styles.categories} role="radiogroup" aria-label={t("templates.category")}>
          {SHOWN.map((name) => (
            <Chip key={name} value={name} size="xs" variant="outline">
              {t(`templates.${name}`)}
            </Chip>
          ))}
        </div>
      </Chip.Group>
      {own.error && <FailureNotice failure={toFailure(own.error)} onRetry={() => void own.refetch()} />}
      {found.length === 0 && !library.isPending && (
        <p className={styles.none}>{t(shown === "own" && !words ? "templates.noneOwn" : "templates.none")}</p>
      )}
      <ul className={styles.list}>
        {found.map((each) => (
          <li key={each.id} className={styles.one}>
            <UnstyledButton className={styles.title} onClick={() => onUse(each)}>
              {each.title}
            </UnstyledButton>
            <span className={styles.kind}>
              {t(`templates.${each.category}`)}
              {each.own && ` · ${t("templates.own")}`}
            </span>
            <span className={styles.text}>{each.text}</span>
          </li>
        ))}
      </ul>
      <div className={styles.actions}>
        <Button variant="default" leftSection={<IconPlus size={14} stroke={2} />} onClick={onCreate}>
          {t("templates.create")}
        </Button>
        <TransferTemplates own={own.data ?? []} />
      </div>
    </div>
  );
}
