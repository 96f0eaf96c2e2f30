import { useTranslation } from "react-i18next";

import type { ComparisonView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { Nothing } from "@/ui/Text";

import styles from "./compare.module.css";

type Setting = ComparisonView["settings"][number]["changes"][number];
type File = ComparisonView["files"][number];

function Value({ children }: { children: string | null }) {
  return children === null ? <Nothing /> : <code className={styles.value}>{children}</code>;
}

export function useSettingColumns(): Column<Setting>[] {
  const { t } = useTranslation();
  return [
    { id: "key", title: t("library.compare.setting"), cell: ({ key }) => <Value>{key}</Value> },
    { id: "before", title: t("library.compare.before"), cell: ({ before }) => <Value>{before}</Value> },
    { id: "after", title: t("library.compare.after"), cell: ({ after }) => <Value>{after}</Value> },
  ];
}

export function useFileColumns(): Column<File>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const size = (bytes: number | null) => (bytes === null ? <Nothing /> : format.bytes(bytes));
  return [
    { id: "path", title: t("library.compare.file"), cell: ({ path }) => <Value>{path}</Value> },
    {
      id: "before",
      title: t("library.compare.before"),
      numeric: true,
      cell: ({ before_bytes }) => size(before_bytes),
    },
    { id: "after", title: t("library.compare.after"), numeric: true, cell: ({ after_bytes }) => size(after_bytes) },
  ];
}
