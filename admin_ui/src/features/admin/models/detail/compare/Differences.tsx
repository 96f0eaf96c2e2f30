import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { ComparisonView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { DataTable } from "@/ui/DataTable";
import { Code, Dim } from "@/ui/Text";

import styles from "./compare.module.css";
import { useFileColumns, useSettingColumns } from "./columns";

/** Settings by their keys, texts by their lines, other files by their size, and how much of the weights. */
export function Differences({ found }: { found: ComparisonView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const settings = useSettingColumns();
  const files = useFileColumns();
  const more = (words: "moreSettings" | "moreLines", count: number) =>
    count > 0 && <Dim>{t(`library.compare.${words}`, { n: format.number(count) })}</Dim>;
  return (
    <div className={styles.differences}>
      {found.equal && <p>{t("library.compare.equal")}</p>}
      {found.settings.map(({ path, changes, more: left }) => (
        <Part key={path} title={<Code>{path}</Code>}>
          <DataTable label={path} columns={settings} rows={changes} keyOf={({ key }) => key} />
          {more("moreSettings", left)}
        </Part>
      ))}
      {found.texts.map(({ path, lines, more: left }) => (
        <Part key={path} title={<Code>{path}</Code>}>
          <TextDiff path={path} lines={lines} />
          {more("moreLines", left)}
        </Part>
      ))}
      {found.files.length > 0 && (
        <Part title={t("library.compare.files")}>
          <DataTable label={t("library.compare.files")} columns={files} rows={found.files} keyOf={({ path }) => path} />
        </Part>
      )}
      {!found.equal && <Weights weights={found.weights} />}
    </div>
  );
}

function Part({ title, children }: { title: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.part}>
      <h3>{title}</h3>
      {children}
    </div>
  );
}

const KINDS: Record<string, string> = { "+": "added", "-": "removed", "@": "place" };

/** As `diff -u` shows it: the sign of a line, not its colour, carries the meaning. */
function TextDiff({ path, lines }: { path: string; lines: string[] }) {
  return (
    <pre className={styles.diff} aria-label={path} role="region" tabIndex={0}>
      {lines.map((line, number) => (
        <span key={number} data-kind={KINDS[line.charAt(0)]}>
          {line}
        </span>
      ))}
    </pre>
  );
}

function Weights({ weights }: { weights: ComparisonView["weights"] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const isSame = weights.before_files === 0 && weights.after_files === 0;
  const words = isSame
    ? t("library.compare.sameWeights")
    : t("library.compare.otherWeights", {
        before: format.number(weights.before_files),
        beforeSize: format.bytes(weights.before_bytes),
        after: format.number(weights.after_files),
        afterSize: format.bytes(weights.after_bytes),
        same: format.number(weights.same_files),
      });
  return (
    <Part title={t("library.compare.weights")}>
      <p>{words}</p>
    </Part>
  );
}
