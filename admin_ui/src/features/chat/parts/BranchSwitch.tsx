import { ActionIcon } from "@mantine/core";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import styles from "./Thread.module.css";

interface Props {
  /** What there are versions of. */
  label: string;
  /** From 0. */
  at: number;
  of: number;
  onSwitch: (to: number) => void;
}

/** "2 of 3", with the way to the others; nothing where there is only one. */
export function BranchSwitch({ label, at, of, onSwitch }: Props) {
  const { t } = useTranslation();
  if (of < 2) return null;
  return (
    <span className={styles.branches} role="group" aria-label={`${label}: ${t("chat.branches")}`}>
      <ActionIcon size={24} aria-label={t("chat.branchBefore")} disabled={at === 0} onClick={() => onSwitch(at - 1)}>
        <IconChevronLeft size={16} stroke={1.75} />
      </ActionIcon>
      <span data-testid="branch">{t("chat.branchOf", { at: at + 1, of })}</span>
      <ActionIcon size={24} aria-label={t("chat.branchAfter")} disabled={at === of - 1} onClick={() => onSwitch(at + 1)}>
        <IconChevronRight size={16} stroke={1.75} />
      </ActionIcon>
    </span>
  );
}
