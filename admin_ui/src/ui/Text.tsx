import { shortDigest } from "./shortDigest";
import styles from "./Text.module.css";

/** A dash where there is nothing. */
export function Nothing() {
  return <span className={styles.dim}>–</span>;
}

export function Dim({ children }: { children: React.ReactNode }) {
  return <span className={styles.dim}>{children}</span>;
}

/** The name that a row is known by. */
export function RowName({ children }: { children: string }) {
  return (
    <span className={styles.name} title={children}>
      {children}
    </span>
  );
}

/** Ids and addresses; `short` cuts a digest to what tells two apart. */
export function Code({ children, short = false }: { children: string; short?: boolean }) {
  const shown = short ? shortDigest(children) : children;
  return (
    <code className={styles.code} title={children}>
      {shown}
    </code>
  );
}
