import { UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { Fragment, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import styles from "./DataTable.module.css";
import { sortRows, type Order } from "./sortRows";

export interface Column<Row> {
  id: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** What the column is sorted by; unsortable without. */
  sort?: (row: Row) => string | number;
  /** Right-aligned, tabular figures. */
  numeric?: boolean;
  /** Left out where the table has less room than this. */
  needs?: "medium" | "wide";
}

interface Props<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  keyOf: (row: Row) => string;
  actions?: (row: Row) => ReactNode;
  /** A full-width line under a row: a question, a form, progress. */
  below?: (row: Row) => ReactNode;
}

/** A dense table: sortable heads, numbers to the right, actions at the end of a row. */
export function DataTable<Row>({ label, columns, rows, keyOf, actions, below }: Props<Row>) {
  const { t } = useTranslation();
  const [order, setOrder] = useState<Order | null>(null);
  const sortBy = columns.find((each) => each.id === order?.by)?.sort;
  const sorted = order && sortBy ? sortRows(rows, sortBy, order.down) : rows;
  const width = columns.length + (actions ? 1 : 0);
  return (
    <div className={styles.scroll}>
      <table className={styles.table} aria-label={label} role="table">
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.id} column={column} order={order} onOrder={setOrder} />
            ))}
            {actions && (
              <th className={styles.actions}>
                <span className="visually-hidden">{t("col.actions")}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => {
            const line = below?.(row);
            return (
              <Fragment key={keyOf(row)}>
                <tr role="row" data-row={keyOf(row)} data-joined={Boolean(line)}>
                  {columns.map((column) => (
                    <td
                      key={column.id}
                      // Where rows become blocks, browsers forget what a cell is.
                      role="cell"
                      data-column={column.id}
                      data-title={column.title}
                      data-numeric={column.numeric}
                      data-needs={column.needs}
                    >
                      {column.cell(row)}
                    </td>
                  ))}
                  {actions && <td role="cell" className={styles.actions}>{actions(row)}</td>}
                </tr>
                {line && (
                  <tr className={styles.below}>
                    <td colSpan={width}>{line}</td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

interface HeadProps<Row> {
  column: Column<Row>;
  order: Order | null;
  onOrder: (order: Order) => void;
}

function Head<Row>({ column, order, onOrder }: HeadProps<Row>) {
  const { t } = useTranslation();
  const current = order?.by === column.id ? order : null;
  const Arrow = current?.down ? IconArrowDown : IconArrowUp;
  const sorted = current ? (current.down ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" data-numeric={column.numeric} data-needs={column.needs} aria-sort={sorted}>
      {column.sort ? (
        <UnstyledButton
          className={styles.sort}
          title={t("common.sortBy", { column: column.title })}
          onClick={() => onOrder({ by: column.id, down: current ? !current.down : Boolean(column.numeric) })}
        >
          {column.title}
          {current && <Arrow size={12} stroke={2} aria-hidden />}
        </UnstyledButton>
      ) : (
        column.title
      )}
    </th>
  );
}
