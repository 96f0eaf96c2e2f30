import { Kbd } from "@mantine/core";
import { useTranslation } from "react-i18next";

import styles from "./Shortcuts.module.css";

const MOD = /mac/i.test(navigator.platform) ? "⌘" : "Ctrl";
const KEYS = {
  search: [MOD, "K"],
  newChat: [MOD, "Shift", "O"],
  composer: ["/"],
  settings: [MOD, "Shift", ","],
  templates: [MOD, "Shift", "."],
  editLast: ["↑"],
  stop: ["Esc"],
} as const;

/** What the keyboard does on this page. */
export function Shortcuts() {
  const { t } = useTranslation();
  return (
    <section className={styles.shortcuts} aria-label={t("shortcuts.title")}>
      <h3>{t("shortcuts.title")}</h3>
      <dl>
        {(Object.keys(KEYS) as (keyof typeof KEYS)[]).map((name) => (
          <div key={name}>
            <dt>{t(`shortcuts.${name}`)}</dt>
            <dd>
              {KEYS[name].map((key) => (
                <Kbd key={key} size="xs">
                  {key}
                </Kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
