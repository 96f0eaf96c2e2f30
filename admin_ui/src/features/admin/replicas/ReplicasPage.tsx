import { Button } from "@mantine/core";
import { IconBan, IconCircleCheck, IconFileText, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { toFailure } from "@/api/errors";
import { useReplicas } from "@/api/queries";
import type { ReplicaView } from "@/api/types";
import { EmptyState } from "@/ui/EmptyState";
import { FailureNotice } from "@/ui/FailureNotice";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { useCordon } from "./actions";
import { useReplicaColumns } from "./columns";
import { LogSection } from "./LogSection";
import { Restart } from "./Restart";

export function ReplicasPage() {
  const { t } = useTranslation();
  const query = useReplicas();
  const columns = useReplicaColumns();
  const log = usePanel("log");
  const cordon = useCordon();
  const [asked, setAsked] = useState<string | null>(null);
  const actions = (row: ReplicaView) => (
    <>
      <RowAction icon={IconFileText} label={t("replica.log")} of={row.id} onClick={() => log.openWith(row.id)} />
      <RowAction
        icon={row.cordoned ? IconCircleCheck : IconBan}
        label={row.cordoned ? t("replica.uncordon") : t("replica.cordon")}
        of={row.id}
        onClick={() => cordon.mutate({ id: row.id, cordoned: !row.cordoned })}
      />
      <RowAction icon={IconRefresh} label={t("replica.restart")} of={row.id} onClick={() => setAsked(row.id)} />
    </>
  );
  return (
    <Page>
      <LiveTable
        title={t("nav.replicas")}
        query={query}
        columns={columns}
        keyOf={(row) => row.id}
        wordsOf={(row) => `${row.id} ${row.deployment} ${row.model} ${row.state} ${row.address} ${row.node_id}`}
        above={cordon.error && <FailureNotice failure={toFailure(cordon.error)} />}
        actions={actions}
        below={(row) => asked === row.id && <Restart replica={row} onDone={() => setAsked(null)} />}
        empty={
          <EmptyState
            title={t("admin.replicas.emptyTitle")}
            actions={
              <Button component={Link} to="/admin/deployments">
                {t("admin.replicas.toDeployments")}
              </Button>
            }
          >
            {t("admin.replicas.emptyBody")}
          </EmptyState>
        }
      />
      {log.isOpen && <LogSection key={log.value} id={log.value} onClose={log.close} />}
    </Page>
  );
}
