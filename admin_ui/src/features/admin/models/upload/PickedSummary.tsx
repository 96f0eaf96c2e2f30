import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";
import { Notice } from "@/ui/Notice";

import type { Difference } from "./match";
import { isArchive, lacksConfig, type Picked } from "./picked";
import styles from "./upload.module.css";

/** More names than this say no more. */
const NAMED = 6;

interface Props {
  picked: Picked;
  /** That is to be a model: said where it hardly can be one. */
  isNew: boolean;
}

/** What was chosen, and what of it is not sent. */
export function PickedSummary({ picked: { files, leftOut, totalBytes }, isNew }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  if (files.length === 0)
    return (
      <Notice tone="bad" title={t("library.upload.nothing")}>
        {t("library.upload.nothingHelp")}
      </Notice>
    );
  const size = format.bytes(totalBytes);
  return (
    <div className={styles.picked} role="status">
      <span className={styles.sum}>
        {isArchive(files)
          ? t("library.upload.pickedArchive", { name: files[0]?.path, size })
          : t("library.upload.picked", { count: files.length, n: format.number(files.length), size })}
      </span>
      {leftOut.length > 0 && <span>{t("library.upload.leftOut", { names: namesOf(leftOut) })}</span>}
      {isNew && lacksConfig(files) && <Notice tone="wait">{t("library.upload.noConfig")}</Notice>}
    </div>
  );
}

/** The files of another upload than the one that is to go on. */
export function OtherFiles({ difference: { missing, otherSize, unknown } }: { difference: Difference }) {
  const { t } = useTranslation();
  return (
    <Notice tone="bad" title={t("library.upload.otherFiles")}>
      {missing.length > 0 && <div>{t("library.upload.missing", { names: namesOf(missing) })}</div>}
      {otherSize.length > 0 && <div>{t("library.upload.otherSize", { names: namesOf(otherSize) })}</div>}
      {unknown.length > 0 && <div>{t("library.upload.unknown", { names: namesOf(unknown) })}</div>}
      <div>{t("library.upload.otherFilesHelp")}</div>
    </Notice>
  );
}

function namesOf(paths: readonly string[]): string {
  const shown = paths.slice(0, NAMED).join(", ");
  return paths.length > NAMED ? `${shown} … (+${paths.length - NAMED})` : shown;
}
