import { Button, Select } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useCatalog } from "@/api/queries";
import { CopyButton } from "@/ui/CopyButton";
import { PageHead } from "@/ui/PageHead";

import { Page } from "../Page";
import styles from "./connect.module.css";
import { isLocal, snippetsOf, type Snippet } from "./snippets";

const GROUPS = ["sdk", "shell", "apps", "editors"] as const;
const NO_MODEL = "my-model";

/** Ready snippets for what people have already. */
export function ConnectPage() {
  const { t } = useTranslation();
  const catalog = useCatalog().data ?? [];
  const [chosen, setChosen] = useState<string | null>(null);
  const model = catalog.find((each) => each.name === chosen) ?? catalog.find((each) => each.status === "ready") ?? catalog[0];
  const url = `${window.location.origin}/v1`;
  const snippets = snippetsOf(url, model?.name ?? NO_MODEL, model?.max_model_len ?? null);
  return (
    <Page>
      <PageHead title={t("connect.title")} />
      <p className={styles.lead}>{t("connect.lead")}</p>
      <div className={styles.facts}>
        <Fact title={t("connect.endpoint")} note={isLocal(url) && t("connect.local")}>
          <code data-testid="endpoint">{url}</code>
          <CopyButton text={() => url} label={t("common.copy")} />
        </Fact>
        <Fact title={t("connect.model")} note={!model && t("connect.noModel")}>
          <Select
            size="xs"
            aria-label={t("connect.model")}
            value={model?.name ?? null}
            placeholder={NO_MODEL}
            onChange={setChosen}
            data={catalog.map((each) => each.name)}
            allowDeselect={false}
            disabled={!model}
          />
        </Fact>
        <Fact title={t("connect.key")} note={t("connect.keyHelp")}>
          <Button component={Link} to="/admin/keys?create=" variant="default">
            {t("connect.makeKey")}
          </Button>
        </Fact>
      </div>
      {GROUPS.map((group) => (
        <section key={group} className={styles.group}>
          <h2>{t(`connect.groups.${group}`)}</h2>
          <div className={styles.snippets}>
            {snippets.filter((each) => each.group === group).map((each) => (
              <Ready key={each.id} snippet={each} />
            ))}
          </div>
        </section>
      ))}
    </Page>
  );
}

function Fact({ title, note, children }: { title: string; note: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.fact}>
      <span>{title}</span>
      <span className={styles.value}>
        {children}
        {note && <span className={styles.note}>{note}</span>}
      </span>
    </div>
  );
}

function Ready({ snippet }: { snippet: Snippet }) {
  const { t } = useTranslation();
  return (
    <figure className={styles.snippet} data-snippet={snippet.id}>
      <figcaption>
        <div>
          <b>{snippet.title}</b> <span>{t(`connect.where.${snippet.where}`)}</span>
        </div>
        <CopyButton text={() => snippet.text} label={t("connect.copy", { name: snippet.title })} />
      </figcaption>
      {/* Scrolls sideways: whoever has only a keyboard must be able to. */}
      <pre tabIndex={0} aria-label={snippet.title}>
        {snippet.text}
      </pre>
    </figure>
  );
}
