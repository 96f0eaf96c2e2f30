import { useState, type DragEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { pickedOfDrop } from "./gather";
import { pick, type Picked } from "./picked";
import styles from "./upload.module.css";

/** A page onto which a folder or an archive can be dropped. */
export function DropArea({ onPicked, children }: { onPicked: (picked: Picked) => void; children: ReactNode }) {
  const { t } = useTranslation();
  // Entering a child leaves its parent: the page is left when as many were left as were entered.
  const [depth, setDepth] = useState(0);
  const ofFiles = (event: DragEvent) => event.dataTransfer.types.includes("Files");
  const over = (by: number) => (event: DragEvent) => ofFiles(event) && setDepth((old) => Math.max(0, old + by));
  const drop = (event: DragEvent) => {
    if (!ofFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    // What cannot be read is as good as nothing, and the panel says what to do about that.
    void pickedOfDrop(event.dataTransfer).catch(() => pick<File>("", [])).then(onPicked);
  };
  return (
    <div
      className={styles.area}
      onDragEnter={over(1)}
      onDragLeave={over(-1)}
      onDragOver={(event) => ofFiles(event) && event.preventDefault()}
      onDrop={drop}
    >
      {children}
      {depth > 0 && <div className={styles.overlay}>{t("library.upload.drop")}</div>}
    </div>
  );
}
