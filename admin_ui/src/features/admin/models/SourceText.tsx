import { useTranslation } from "react-i18next";

import { Code, Nothing } from "@/ui/Text";

/** Where weights came from: uploaded, or the address that they were imported from. */
export function SourceText({ source }: { source: string }) {
  const { t } = useTranslation();
  if (!source) return <Nothing />;
  return source === "upload" ? t("library.revision.upload") : <Code>{source}</Code>;
}
