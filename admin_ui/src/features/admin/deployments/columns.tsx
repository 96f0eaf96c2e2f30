import { useTranslation } from "react-i18next";

import { useReplicas, useSwaps } from "@/api/queries";
import type { DeploymentView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { SimulatedBadge } from "@/ui/SimulatedBadge";
import { Code, Nothing, RowName } from "@/ui/Text";

import { ReplicasCell } from "./scaling/ReplicasCell";
import { StateCell } from "./StateCell";

export function useDeploymentColumns(): Column<DeploymentView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const replicas = useReplicas().data ?? [];
  const swaps = useSwaps().data;
  const inFlight = (name: string) =>
    replicas.filter((each) => each.deployment === name).reduce((sum, each) => sum + each.in_flight, 0);
  return [
    { id: "name", title: t("col.name"), sort: (row) => row.name, cell: (row) => <RowName>{row.name}</RowName> },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => <StateCell row={row} replicas={replicas} swaps={swaps} />,
    },
    {
      id: "model",
      title: t("col.model"),
      sort: (row) => row.model,
      cell: (row) => <Served row={row} />,
    },
    {
      id: "replicas",
      title: t("col.replicas"),
      numeric: true,
      sort: (row) => row.replicas,
      cell: (row) =>
        row.engine === "external" ? (
          <Nothing />
        ) : (
          <ReplicasCell row={row} />
        ),
    },
    {
      id: "inFlight",
      title: t("col.inFlight"),
      numeric: true,
      sort: (row) => inFlight(row.name),
      // Replicas count these; engines outside tell nothing.
      cell: (row) => (row.engine === "external" ? <Nothing /> : format.number(inFlight(row.name))),
    },
    {
      id: "gpus",
      title: t("col.gpusEach"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.gpus_per_replica,
      cell: (row) => (row.gpus_per_replica ? format.number(row.gpus_per_replica, 2) : <Nothing />),
    },
    {
      id: "context",
      title: t("col.context"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.max_model_len ?? 0,
      cell: (row) => (row.max_model_len ? t("unit.tokens", { n: format.context(row.max_model_len) }) : <Nothing />),
    },
    {
      id: "revision",
      title: t("col.revision"),
      needs: "wide",
      cell: (row) => (row.revision ? <Code short>{row.revision}</Code> : <Nothing />),
    },
  ];
}

/** What answers under the name: a model of the library, made-up answers, or engines that somebody else runs. */
function Served({ row }: { row: DeploymentView }) {
  const { t } = useTranslation();
  if (row.engine === "simulated")
    return (
      <>
        {row.model} <SimulatedBadge />
      </>
    );
  if (row.engine === "external")
    return t("admin.deployments.outside", { names: row.external.map((each) => each.name).join(", ") });
  return row.model;
}
