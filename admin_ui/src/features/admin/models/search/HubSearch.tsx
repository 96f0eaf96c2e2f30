import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useId, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { FailureNotice } from "@/ui/FailureNotice";

import { FoundModels } from "./FoundModels";
import styles from "./search.module.css";
import { HUBS, useHubSearch, type Hub } from "./useHubSearch";

interface Props {
  /** What is to be imported now. */
  source: string;
  onChoose: (source: string) => void;
}

/** Models of a hub, found by words and chosen from a list. */
export function HubSearch({ source, onChoose }: Props) {
  const { t, i18n } = useTranslation();
  const [hub, setHub] = useState<Hub>(i18n.language.startsWith("zh") ? "modelscope" : "hf");
  const [words, setWords] = useState("");
  const { asked, found, ask } = useHubSearch();
  const heading = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (words.trim()) ask({ hub, words: words.trim() });
  };
  return (
    <form className={styles.search} role="search" aria-labelledby={heading} onSubmit={submit}>
      <h3 id={heading}>{t("library.search.title")}</h3>
      <SegmentedControl
        size="xs"
        fullWidth
        aria-label={t("library.search.hub")}
        value={hub}
        onChange={(value) => setHub(value as Hub)}
        data={Object.entries(HUBS).map(([value, label]) => ({ value, label }))}
      />
      <div className={styles.words}>
        <TextInput
          aria-label={t("library.search.words")}
          placeholder={t("library.search.placeholder")}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          maxLength={200}
          spellCheck={false}
          type="search"
        />
        <Button
          type="submit"
          size="sm"
          variant="default"
          leftSection={<IconSearch size={14} stroke={2} />}
          disabled={!words.trim() || found.isFetching}
        >
          {t("library.search.submit")}
        </Button>
      </div>
      {asked && <Answer hub={HUBS[asked.hub]} found={found} source={source} onChoose={onChoose} />}
    </form>
  );
}

interface AnswerProps extends Props {
  hub: string;
  found: ReturnType<typeof useHubSearch>["found"];
}

function Answer({ hub, found, source, onChoose }: AnswerProps) {
  const { t } = useTranslation();
  if (found.isFetching) return <p role="status">{t("library.search.asking", { hub })}</p>;
  if (found.error) return <FailureNotice failure={toFailure(found.error)} onRetry={() => void found.refetch()} />;
  if (!found.data?.length) return <p role="status">{t("library.search.none", { hub })}</p>;
  return <FoundModels models={found.data} hub={hub} source={source} onChoose={onChoose} />;
}
