import type { ReactNode } from "react";

import styles from "./Page.module.css";

interface Props {
  children: ReactNode;
  /** A form beside the page, which stays readable. */
  panel?: ReactNode;
}

export function Page({ children, panel }: Props) {
  return (
    <div className={styles.page}>
      <main className={styles.main}>{children}</main>
      {panel}
    </div>
  );
}
