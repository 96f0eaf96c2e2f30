import { TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import styles from "./PageHead.module.css";

interface Props {
  title: string;
  /** Rows that are shown, where there are any. */
  count?: number | undefined;
  filter?: { text: string; onChange: (text: string) => void } | undefined;
  children?: ReactNode;
}

export function PageHead({ title, count, filter, children }: Props) {
  const { t } = useTranslation();
  return (
    <header className={styles.head}>
      <h1 className={styles.title}>
        {title} {count !== undefined && <span className={styles.count}>{count}</span>}
      </h1>
      <div className={styles.tools}>
        {filter && (
          <TextInput
            size="xs"
            className={styles.filter}
            aria-label={t("common.filter")}
            placeholder={t("common.filter")}
            leftSection={<IconSearch size={14} stroke={2} />}
            value={filter.text}
            onChange={(event) => filter.onChange(event.currentTarget.value)}
          />
        )}
        {children}
      </div>
    </header>
  );
}
