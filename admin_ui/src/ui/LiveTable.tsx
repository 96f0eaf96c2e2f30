import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";

import { DataTable, type Column } from "./DataTable";
import { FailureNotice } from "./FailureNotice";
import { PageHead } from "./PageHead";

/** Fewer rows than this are seen at a glance. */
const FILTER_FROM = 5;

interface Props<Row> {
  title: string;
  query: { data: Row[] | undefined; error: Error | null; refetch: () => unknown };
  columns: Column<Row>[];
  keyOf: (row: Row) => string;
  /** Words that the filter looks into. */
  wordsOf: (row: Row) => string;
  tools?: ReactNode;
  /** Between head and table. */
  above?: ReactNode;
  empty: ReactNode;
  actions?: (row: Row) => ReactNode;
  below?: (row: Row) => ReactNode;
}

/** A page's noun as a table: loading, failed, empty, or there, with head, filter and actions. */
export function LiveTable<Row>({ title, query, columns, keyOf, wordsOf, tools, above, empty, actions, below }: Props<Row>) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const { data, error } = query;
  const wanted = text.trim().toLowerCase();
  const rows = data?.filter((row) => wordsOf(row).toLowerCase().includes(wanted)) ?? [];
  const filter = data && (data.length >= FILTER_FROM || text) ? { text, onChange: setText } : undefined;
  return (
    <>
      <PageHead title={title} count={data?.length || undefined} filter={filter}>
        {/* Where there is nothing yet, the empty state has them. */}
        {(data?.length !== 0 || !empty) && tools}
      </PageHead>
      {above}
      {!data && error && <FailureNotice failure={toFailure(error)} onRetry={() => void query.refetch()} />}
      {!data && !error && <p role="status">{t("app.loading")}</p>}
      {data?.length === 0 && empty}
      {data && data.length > 0 && rows.length === 0 && <p>{t("common.noMatch", { text: text.trim() })}</p>}
      {rows.length > 0 && (
        <DataTable
          label={title}
          columns={columns}
          rows={rows}
          keyOf={keyOf}
          {...(actions ? { actions } : {})}
          {...(below ? { below } : {})}
        />
      )}
    </>
  );
}
