import { useTranslation } from "react-i18next";

import { useNodes, useReplicaHistory } from "@/api/queries";
import type { ReplicaView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { highest, newest } from "@/ui/chart/column";
import { Sparkline } from "@/ui/chart/Sparkline";
import type { Column } from "@/ui/DataTable";
import { SimulatedBadge } from "@/ui/SimulatedBadge";
import { State } from "@/ui/State";
import { Code, Nothing, RowName } from "@/ui/Text";

import styles from "./replicas.module.css";

export function useReplicaColumns(): Column<ReplicaView>[] {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const nodes = useNodes().data ?? [];
  const history = useReplicaHistory().data ?? [];
  const hostOf = (row: ReplicaView) => nodes.find((each) => each.id === row.node_id)?.hostname ?? row.node_id;
  const pastOf = (row: ReplicaView) => history.find((each) => each.id === row.id)?.running;
  const reasonOf = (row: ReplicaView) =>
    [row.cordoned && t("replica.cordonedNote"), say(row.detail, row.sentences["detail"])].filter(Boolean).join(" · ");
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
      cell: (row) => <State state={row.state} since={row.state_since} reason={reasonOf(row) || undefined} />,
    },
    { id: "id", title: "ID", needs: "wide", sort: (row) => row.id, cell: (row) => <Code>{row.id}</Code> },
    { id: "node", title: t("col.node"), needs: "medium", sort: hostOf, cell: hostOf },
    {
      id: "gpus",
      title: t("col.gpus"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.gpus.length,
      cell: (row) => (row.gpus.length > 0 ? row.gpus.join(", ") : <Nothing />),
    },
    {
      id: "inFlight",
      title: t("col.inFlight"),
      numeric: true,
      sort: (row) => row.in_flight,
      cell: (row) => format.number(row.in_flight),
    },
    {
      id: "running",
      title: t("col.running"),
      numeric: true,
      sort: (row) => row.running,
      cell: (row) => (
        <Share
          part={row.max_running ? row.running / row.max_running : null}
          says={
            row.max_running
              ? t("replica.load", { running: format.number(row.running), max: format.number(row.max_running) })
              : format.number(row.running)
          }
        />
      ),
    },
    {
      id: "waiting",
      title: t("col.waiting"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.waiting,
      cell: (row) => format.number(row.waiting),
    },
    {
      id: "kv",
      title: t("col.kv"),
      numeric: true,
      sort: (row) => row.kv_usage,
      cell: (row) => (
        <Share
          part={row.kv_usage}
          says={
            row.kv_capacity_tokens
              ? t("replica.kvOf", {
                  percent: format.number(row.kv_usage * 100),
                  tokens: t("unit.tokens", { n: format.context(row.kv_capacity_tokens) }),
                })
              : `${format.number(row.kv_usage * 100)} %`
          }
        />
      ),
    },
    {
      id: "past",
      title: t("replica.past"),
      needs: "wide",
      cell: (row) => {
        const past = pastOf(row);
        if (!past) return <Nothing />;
        const [now, most] = [newest(past), highest(past)].map((value) => format.number(value ?? 0, 1));
        return (
          <Sparkline values={past} label={t("replica.pastSays", { now, most })} {...(row.max_running ? { most: row.max_running } : {})} />
        );
      },
    },
    {
      id: "generated",
      title: t("col.generated"),
      numeric: true,
      needs: "wide",
      sort: (row) => row.generation_tokens_total,
      cell: (row) => t("unit.tokens", { n: format.compact(row.generation_tokens_total) }),
    },
  ];
}

/** A share as a bar, with its figures. */
function Share({ part, says }: { part: number | null; says: string }) {
  return (
    <>
      {part !== null && (
        <span className={styles.bar} aria-hidden>
          <span style={{ width: `${Math.min(100, part * 100)}%` }} />
        </span>
      )}
      {says}
    </>
  );
}
