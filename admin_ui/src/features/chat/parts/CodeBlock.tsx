import { lazy, memo, Suspense } from "react";
import { useTranslation } from "react-i18next";

import { CopyButton } from "@/ui/CopyButton";

import styles from "./Markdown.module.css";

const Highlighted = lazy(() => import("./Highlighted"));

/** Above this, colours cost more time than they are worth. */
const MAX_COLOURED = 60_000;

interface Props {
  text: string;
  language: string;
  /** It still grows: its colours come at the end. */
  writing: boolean;
}

export const CodeBlock = memo(function CodeBlock({ text, language, writing }: Props) {
  const { t } = useTranslation();
  const coloured = language !== "" && !writing && text.length < MAX_COLOURED;
  return (
    <figure className={styles.code}>
      <figcaption>
        <span>{language}</span>
        <CopyButton text={() => text} label={t("chat.copyCode")} />
      </figcaption>
      <pre tabIndex={0}>
        <code>
          {coloured ? (
            <Suspense fallback={text}>
              <Highlighted text={text} language={language} />
            </Suspense>
          ) : (
            text
          )}
        </code>
      </pre>
    </figure>
  );
});
