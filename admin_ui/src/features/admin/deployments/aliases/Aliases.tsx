import { Button } from "@mantine/core";
import { IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useAliases } from "@/api/queries";
import type { AliasView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { DataTable, type Column } from "@/ui/DataTable";
import { InlineConfirm } from "@/ui/InlineConfirm";
import { RowAction } from "@/ui/RowAction";
import { State } from "@/ui/State";
import { Dim, RowName } from "@/ui/Text";

import { useDeleteAlias } from "./actions";
import styles from "./aliases.module.css";

interface Props {
  onAdd: () => void;
  onChange: (name: string) => void;
}

/** Names that stand for deployments of other names. */
export function Aliases({ onAdd, onChange }: Props) {
  const { t } = useTranslation();
  const aliases = useAliases().data;
  const columns = useColumns();
  const [leaving, setLeaving] = useState<string | null>(null);
  if (!aliases) return null;
  const actions = ({ name }: AliasView) => (
    <>
      <RowAction icon={IconPencil} label={t("alias.change")} of={name} onClick={() => onChange(name)} />
      <RowAction icon={IconTrash} label={t("common.delete")} of={name} onClick={() => setLeaving(name)} />
    </>
  );
  return (
    <section className={styles.section}>
      <header className={styles.head}>
        <h2>{t("alias.title")}</h2>
        <Button variant="default" leftSection={<IconPlus size={14} stroke={2} />} onClick={onAdd}>
          {t("alias.add")}
        </Button>
      </header>
      {aliases.length === 0 ? (
        <p className={styles.none}>{t("alias.none")}</p>
      ) : (
        <DataTable
          label={t("alias.title")}
          columns={columns}
          rows={aliases}
          keyOf={(row) => row.name}
          actions={actions}
          below={(row) => leaving === row.name && <DeleteAlias name={row.name} onDone={() => setLeaving(null)} />}
        />
      )}
    </section>
  );
}

function useColumns(): Column<AliasView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  return [
    { id: "name", title: t("col.name"), sort: (row) => row.name, cell: (row) => <RowName>{row.name}</RowName> },
    { id: "state", title: t("col.state"), sort: (row) => row.status, cell: (row) => <State state={row.status} /> },
    {
      id: "targets",
      title: t("alias.targets"),
      cell: (row) => (
        <ul className={styles.targets}>
          {row.targets.map(({ model, share, status }) => (
            <li key={model}>
              {model} <Dim>{t("alias.share", { percent: format.number(share * 100, 1) })}</Dim>
              {status !== row.status && <State state={status} />}
            </li>
          ))}
        </ul>
      ),
    },
  ];
}

function DeleteAlias({ name, onDone }: { name: string; onDone: () => void }) {
  const { t } = useTranslation();
  const remove = useDeleteAlias(name, onDone);
  return (
    <InlineConfirm
      question={t("alias.deleteAsk", { name })}
      action={t("common.delete")}
      busy={remove.isPending}
      failure={remove.error && toFailure(remove.error)}
      onConfirm={() => remove.mutate()}
      onCancel={onDone}
    />
  );
}
