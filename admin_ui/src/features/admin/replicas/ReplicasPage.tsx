import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useReplicas } from "@/api/queries";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";

import { Page } from "../Page";
import { useReplicaColumns } from "./columns";

export function ReplicasPage() {
  const { t } = useTranslation();
  const query = useReplicas();
  const columns = useReplicaColumns();
  return (
    <Page>
      <LiveTable
        title={t("nav.replicas")}
        query={query}
        columns={columns}
        keyOf={(row) => row.id}
        wordsOf={(row) => `${row.id} ${row.deployment} ${row.model} ${row.state} ${row.address} ${row.node_id}`}
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
    </Page>
  );
}
