import { UnstyledButton } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { chooseLanguage, LANGUAGES, type Language } from "@/i18n";

import styles from "./LoginPage.module.css";

export function LanguageChoice() {
  const { t, i18n } = useTranslation();
  return (
    <div className={styles.languages} role="group" aria-label={t("app.language")}>
      {Object.entries(LANGUAGES).map(([language, name]) => (
        <UnstyledButton
          key={language}
          lang={language}
          aria-pressed={i18n.language === language}
          className={styles.language}
          onClick={() => chooseLanguage(language as Language)}
        >
          {name}
        </UnstyledButton>
      ))}
    </div>
  );
}
