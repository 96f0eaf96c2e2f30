import { useId, type ReactNode } from "react";

import styles from "./detail.module.css";

interface Props {
  title: string;
  tools?: ReactNode;
  /** Tables have a margin of their own. */
  isTable?: boolean;
  children: ReactNode;
}

/** A part of a page under a heading of its own. */
export function Section({ title, tools, isTable = false, children }: Props) {
  const heading = useId();
  return (
    <section className={styles.section} aria-labelledby={heading}>
      <header className={styles.sectionHead}>
        <h2 id={heading}>{title}</h2>
        {tools}
      </header>
      <div className={isTable ? undefined : styles.body}>{children}</div>
    </section>
  );
}
