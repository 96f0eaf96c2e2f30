import { IconBan, IconCircleCheck, IconLogout } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useNodes } from "@/api/queries";
import type { NodeView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import type { Column } from "@/ui/DataTable";
import { EmptyState } from "@/ui/EmptyState";
import { FailureNotice } from "@/ui/FailureNotice";
import { InlineConfirm } from "@/ui/InlineConfirm";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";
import { State } from "@/ui/State";
import { Code, Dim, Nothing, RowName } from "@/ui/Text";

import { Page } from "../Page";
import { useMarkNode } from "./actions";
import { Gpus } from "./Gpus";
import { Join } from "./Join";

export function NodesPage() {
  const { t } = useTranslation();
  const query = useNodes();
  const columns = useNodeColumns();
  const mark = useMarkNode();
  const [asked, setAsked] = useState<string | null>(null);
  return (
    <Page>
      <LiveTable
        title={t("nav.nodes")}
        query={query}
        columns={columns}
        keyOf={(row) => row.id}
        wordsOf={(row) => `${row.hostname} ${row.address} ${row.id}`}
        above={mark.error && <FailureNotice failure={toFailure(mark.error)} />}
        actions={(row) => (
          <>
            <RowAction
              icon={isClosed(row) ? IconCircleCheck : IconBan}
              label={isClosed(row) ? t("host.uncordon") : t("host.cordon")}
              of={row.hostname}
              onClick={() => mark.mutate({ address: row.address, mark: isClosed(row) ? "uncordon" : "cordon" })}
            />
            {!row.drained && (
              <RowAction icon={IconLogout} label={t("host.drain")} of={row.hostname} onClick={() => setAsked(row.id)} />
            )}
          </>
        )}
        below={(row) =>
          (asked === row.id && <Drain node={row} onDone={() => setAsked(null)} />) ||
          (row.gpu_devices.length > 0 && <Gpus node={row} />)
        }
        empty={<EmptyState title={t("admin.nodes.emptyTitle")}>{t("admin.nodes.emptyBody")}</EmptyState>}
      />
      <Join />
    </Page>
  );
}

const isClosed = ({ cordoned, drained }: NodeView) => cordoned || drained;

function Drain({ node, onDone }: { node: NodeView; onDone: () => void }) {
  const { t } = useTranslation();
  const drain = useMarkNode(onDone);
  return (
    <InlineConfirm
      question={t("host.drainAsk", { name: node.hostname })}
      action={t("host.drain")}
      busy={drain.isPending}
      failure={drain.error && toFailure(drain.error)}
      onConfirm={() => drain.mutate({ address: node.address, mark: "drain" })}
      onCancel={onDone}
    />
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
      cell: (row) => (
        <State
          state={row.alive ? "alive" : "dead"}
          reason={row.drained ? t("host.drainedNote") : row.cordoned ? t("host.cordonedNote") : undefined}
        />
      ),
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
    {
      id: "weights",
      title: t("host.col.weights"),
      needs: "wide",
      sort: (row) => row.weights?.used_bytes ?? -1,
      cell: (row) => (row.weights ? <OnDisk weights={row.weights} /> : <Nothing />),
    },
    {
      id: "disk",
      title: t("host.col.disk"),
      numeric: true,
      needs: "medium",
      sort: (row) => row.weights?.disk_free_bytes ?? -1,
      cell: (row) =>
        row.weights ? t("host.diskFree", { free: format.bytes(row.weights.disk_free_bytes) }) : <Nothing />,
    },
  ];
}

/** The weights that a host keeps, and how much of its limit they take. */
function OnDisk({ weights }: { weights: NonNullable<NodeView["weights"]> }) {
  const { t } = useTranslation();
  const format = useFormat();
  const n = format.number(weights.revisions.length);
  const used = format.bytes(weights.used_bytes);
  if (weights.library) return <Dim>{t("host.library")}</Dim>;
  return weights.limit_bytes == null
    ? t("host.weights", { n, used })
    : t("host.weightsOf", { n, used, limit: format.bytes(weights.limit_bytes) });
}
