/** Two languages: the browser's by default, a person's choice after that. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import { en } from "./en";
import type * as adminWords from "./enAdmin";
import type * as chatWords from "./enChat";
import type * as clusterWords from "./enCluster";
import type * as overviewWords from "./enOverview";
import type * as scalingWords from "./enScaling";
import { zh } from "./zh";

export const LANGUAGES = { en: "English", "zh-CN": "简体中文" } as const;
export type Language = keyof typeof LANGUAGES;

const STORAGE_KEY = "roundhouse.language";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    // The chat and the admin pages bring their own words along: whoever only sees one need not load the other's.
    resources: {
      translation: typeof en &
        typeof adminWords &
        typeof chatWords &
        typeof clusterWords &
        typeof overviewWords &
        typeof scalingWords;
    };
  }
}

function firstLanguage(): Language {
  const chosen = read();
  const wanted = chosen ? [chosen] : navigator.languages;
  for (const each of wanted) {
    if (each.toLowerCase().startsWith("zh")) return "zh-CN";
    if (each.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

function read(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

export function chooseLanguage(language: Language): void {
  try {
    localStorage.setItem(STORAGE_KEY, language);
  } catch {
    // Storage is switched off: the choice holds until the page is closed.
  }
  void i18next.changeLanguage(language);
}

i18next.on("languageChanged", (language) => {
  document.documentElement.lang = language;
});

void i18next.use(initReactI18next).init({
  lng: firstLanguage(),
  fallbackLng: "en",
  resources: { en: { translation: en }, "zh-CN": { translation: zh } },
  interpolation: { escapeValue: false },
  // Words may come after the page that shows them.
  react: { bindI18nStore: "added" },
});
