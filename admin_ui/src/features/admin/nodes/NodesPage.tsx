import { useTranslation } from "react-i18next";

import { useNodes } from "@/api/queries";
import type { NodeView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";
import { State } from "@/ui/State";
import { Code, Dim, Nothing, RowName } from "@/ui/Text";

import { Page } from "../Page";
import { Join } from "./Join";

export function NodesPage() {
  const { t } = useTranslation();
  const query = useNodes();
  const columns = useNodeColumns();
  return (
    <Page>
      <LiveTable
        title={t("nav.nodes")}
        query={query}
        columns={columns}
        keyOf={(row) => row.id}
        wordsOf={(row) => `${row.hostname} ${row.address} ${row.id}`}
        empty={<EmptyState title={t("admin.nodes.emptyTitle")}>{t("admin.nodes.emptyBody")}</EmptyState>}
      />
      <Join />
    </Page>
  );
}

function useNodeColumns(): Column<NodeView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const share = (free: number, total: number) =>
    total ? t("admin.nodes.of", { free: format.number(free, 2), total: format.number(total, 2) }) : <Nothing />;
  return [
    {
      id: "host",
      title: t("col.host"),
      sort: (row) => row.hostname,
      cell: (row) => (
        <>
          <RowName>{row.hostname}</RowName> {row.head && <Dim>{t("admin.nodes.head")}</Dim>}
        </>
      ),
    },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => (row.alive ? 1 : 0),
      cell: (row) => <State state={row.alive ? "alive" : "dead"} />,
    },
    { id: "address", title: t("col.address"), sort: (row) => row.address, cell: (row) => <Code>{row.address}</Code> },
    {
      id: "gpus",
      title: t("col.gpusFree"),
      numeric: true,
      sort: (row) => row.gpus,
      cell: (row) => share(row.gpus_free, row.gpus),
    },
    {
      id: "cpus",
      title: t("col.cpus"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.cpus,
      cell: (row) => share(row.cpus_free, row.cpus),
    },
    {
      id: "memory",
      title: t("col.memory"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.memory_bytes,
      cell: (row) => format.bytes(row.memory_bytes),
    },
  ];
}
