import { ActionIcon } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useEffect, useId, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import styles from "./SidePanel.module.css";
import { useTakenFocus } from "./useTakenFocus";

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

/** A drawer on the right that leaves the page readable and usable. Escape closes it. */
export function SidePanel({ title, onClose, children }: Props) {
  const { t } = useTranslation();
  const heading = useId();
  const panel = useTakenFocus<HTMLElement>();
  useEffect(() => {
    // On the document: a button that was pressed and is gone leaves the focus outside the panel.
    const close = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing) onClose();
    };
    document.addEventListener("keydown", close);
    return () => document.removeEventListener("keydown", close);
  }, [onClose]);
  return (
    <aside ref={panel} className={styles.panel} aria-labelledby={heading} tabIndex={-1}>
      <header className={styles.head}>
        <h2 id={heading}>{title}</h2>
        <ActionIcon aria-label={t("common.close")} onClick={onClose}>
          <IconX size={18} stroke={1.75} />
        </ActionIcon>
      </header>
      <div className={styles.body}>{children}</div>
    </aside>
  );
}
