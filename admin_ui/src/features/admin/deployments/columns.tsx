import { useTranslation } from "react-i18next";

import { useReplicas } from "@/api/queries";
import type { DeploymentView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { Countdown } from "@/ui/Countdown";
import type { Column } from "@/ui/DataTable";
import { SimulatedBadge } from "@/ui/SimulatedBadge";
import { State } from "@/ui/State";
import { Code, Nothing, RowName } from "@/ui/Text";

import { stateSince } from "./since";

export function useDeploymentColumns(): Column<DeploymentView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const replicas = useReplicas().data ?? [];
  const inFlight = (name: string) =>
    replicas.filter((each) => each.deployment === name).reduce((sum, each) => sum + each.in_flight, 0);
  return [
    { id: "name", title: t("col.name"), sort: (row) => row.name, cell: (row) => <RowName>{row.name}</RowName> },
    {
      id: "state",
      title: t("col.state"),
      sort: (row) => row.state,
      cell: (row) => (
        <State
          state={row.state}
          since={stateSince(row, replicas)}
          // Ready rows say it all in the column of replicas.
          reason={row.state === "ready" ? undefined : row.reason}
        >
          {row.state === "starting" && row.eta_s !== null && <Countdown seconds={row.eta_s} />}
        </State>
      ),
    },
    {
      id: "model",
      title: t("col.model"),
      sort: (row) => row.model,
      cell: (row) => (row.engine === "simulated" ? <SimulatedBadge /> : row.model),
    },
    {
      id: "replicas",
      title: t("col.replicas"),
      numeric: true,
      sort: (row) => row.replicas,
      cell: (row) => t("admin.deployments.readyOf", { ready: row.ready_replicas, wanted: row.replicas }),
    },
    {
      id: "inFlight",
      title: t("col.inFlight"),
      numeric: true,
      sort: (row) => inFlight(row.name),
      cell: (row) => format.number(inFlight(row.name)),
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
