import { Button } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { KeyView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { EmptyState } from "@/ui/EmptyState";
import { InlineConfirm } from "@/ui/InlineConfirm";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";
import { Code, Dim, RowName } from "@/ui/Text";
import { useNow } from "@/ui/useNow";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { CreateKeyPanel } from "./CreateKeyPanel";
import { useKeys, useRevokeKey } from "./keys";

export function KeysPage() {
  const { t } = useTranslation();
  const query = useKeys();
  const columns = useKeyColumns();
  const panel = usePanel("create");
  const [asked, setAsked] = useState<string | null>(null);
  const create = (
    <Button leftSection={<IconPlus size={14} stroke={2} />} onClick={panel.open}>
      {t("admin.keys.create")}
    </Button>
  );
  return (
    <Page panel={panel.isOpen && <CreateKeyPanel onClose={panel.close} />}>
      <LiveTable
        title={t("nav.keys")}
        query={query}
        columns={columns}
        keyOf={(row) => row.id}
        wordsOf={(row) => `${row.name} ${row.role} ${row.hint}`}
        tools={create}
        empty={
          <EmptyState title={t("admin.keys.emptyTitle")} actions={create}>
            {t("admin.keys.emptyBody")}
          </EmptyState>
        }
        actions={(row) => (
          <RowAction icon={IconTrash} label={t("admin.keys.revoke")} of={row.name} onClick={() => setAsked(row.id)} />
        )}
        below={(row) => asked === row.id && <Revoke row={row} onDone={() => setAsked(null)} />}
      />
    </Page>
  );
}

function Revoke({ row, onDone }: { row: KeyView; onDone: () => void }) {
  const { t } = useTranslation();
  const revoke = useRevokeKey(row.id, onDone);
  return (
    <InlineConfirm
      question={t("admin.keys.revokeAsk", { name: row.name })}
      action={t("admin.keys.revoke")}
      busy={revoke.isPending}
      failure={revoke.error && toFailure(revoke.error)}
      onConfirm={() => revoke.mutate()}
      onCancel={onDone}
    />
  );
}

function useKeyColumns(): Column<KeyView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(10_000);
  return [
    { id: "name", title: t("col.name"), sort: (row) => row.name, cell: (row) => <RowName>{row.name}</RowName> },
    { id: "role", title: t("col.role"), sort: (row) => row.role, cell: (row) => t(`admin.keys.${row.role}`) },
    { id: "hint", title: t("col.hint"), cell: (row) => <Code>{row.hint}</Code> },
    {
      id: "lastUsed",
      title: t("keyUse.col.lastUsed"),
      sort: (row) => row.last_used_at ?? 0,
      cell: (row) =>
        row.last_used_at === null ? (
          <Dim>{t("keyUse.never")}</Dim>
        ) : (
          <time title={format.time(row.last_used_at)}>{format.ago(row.last_used_at, now)}</time>
        ),
    },
    {
      id: "requests",
      title: t("keyUse.col.requests"),
      numeric: true,
      sort: (row) => row.requests,
      cell: (row) => format.number(row.requests),
    },
    {
      id: "tokens",
      title: t("keyUse.col.tokens"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.prompt_tokens + row.generated_tokens,
      cell: (row) => `${format.compact(row.prompt_tokens)} · ${format.compact(row.generated_tokens)}`,
    },
    {
      id: "created",
      title: t("col.created"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.created_at,
      cell: (row) => format.time(row.created_at),
    },
  ];
}
