import { useTranslation } from "react-i18next";

import { useNodes } from "@/api/queries";
import type { ReplicaView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { SimulatedBadge } from "@/ui/SimulatedBadge";
import { State } from "@/ui/State";
import { Code, Nothing, RowName } from "@/ui/Text";

export function useReplicaColumns(): Column<ReplicaView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const nodes = useNodes().data ?? [];
  const hostOf = (row: ReplicaView) => nodes.find((each) => each.id === row.node_id)?.hostname ?? row.node_id;
  const count = (id: "inFlight" | "running" | "waiting", of: (row: ReplicaView) => number): Column<ReplicaView> => ({
    id,
    title: t(`col.${id}`),
    numeric: true,
    ...(id === "inFlight" ? {} : { needs: "medium" as const }),
    sort: of,
    cell: (row) => format.number(of(row)),
  });
  return [
    {
      id: "deployment",
      title: t("col.deployment"),
      sort: (row) => row.deployment,
      cell: (row) => (
        <>
          <RowName>{row.deployment}</RowName> {row.engine === "simulated" && <SimulatedBadge />}
        </>
      ),
    },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => <State state={row.state} since={row.state_since} reason={row.detail || undefined} />,
    },
    { id: "id", title: "ID", needs: "wide", sort: (row) => row.id, cell: (row) => <Code>{row.id}</Code> },
    { id: "node", title: t("col.node"), sort: hostOf, cell: hostOf },
    { id: "address", title: t("col.address"), needs: "wide", cell: (row) => <Code>{row.address}</Code> },
    {
      id: "gpus",
      title: t("col.gpus"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.gpus.length,
      cell: (row) => (row.gpus.length > 0 ? row.gpus.join(", ") : <Nothing />),
    },
    count("inFlight", (row) => row.in_flight),
    count("running", (row) => row.running),
    count("waiting", (row) => row.waiting),
    {
      id: "kv",
      title: t("col.kv"),
      numeric: true,
      sort: (row) => row.kv_usage,
      cell: (row) => `${format.number(row.kv_usage * 100)} %`,
    },
    {
      id: "generated",
      title: t("col.generated"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.generation_tokens_total,
      cell: (row) => t("unit.tokens", { n: format.number(row.generation_tokens_total) }),
    },
  ];
}
