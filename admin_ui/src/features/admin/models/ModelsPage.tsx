import { Button } from "@mantine/core";
import { IconDownload, IconRocket, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useModels } from "@/api/queries";
import type { ModelView } from "@/api/types";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { useModelColumns } from "./columns";
import { DeleteModel } from "./DeleteModel";
import { ImportPanel } from "./ImportPanel";

export function ModelsPage() {
  const { t } = useTranslation();
  const query = useModels();
  const columns = useModelColumns();
  const panel = usePanel("import");
  const [asked, setAsked] = useState<string | null>(null);
  const importButton = (
    <Button leftSection={<IconDownload size={14} stroke={2} />} onClick={panel.open}>
      {t("admin.models.import")}
    </Button>
  );
  const actions = ({ name, state, deployments }: ModelView) => (
    <>
      {state === "ready" && (
        <RowAction
          icon={IconRocket}
          label={t("admin.models.deploy")}
          of={name}
          to={`/admin/deployments?deploy=${encodeURIComponent(name)}`}
        />
      )}
      <RowAction
        icon={IconTrash}
        label={t("admin.models.delete")}
        of={name}
        blocked={deployments.length > 0 ? t("admin.models.inUse", { names: deployments.join(", ") }) : undefined}
        onClick={() => setAsked(name)}
      />
    </>
  );
  return (
    <Page panel={panel.isOpen && <ImportPanel onClose={panel.close} />}>
      <LiveTable
        title={t("nav.models")}
        query={query}
        columns={columns}
        keyOf={(row) => row.name}
        wordsOf={(row) => `${row.name} ${row.source} ${row.architecture} ${row.state}`}
        tools={importButton}
        empty={
          <EmptyState title={t("admin.models.emptyTitle")} actions={importButton}>
            {t("admin.models.emptyBody")}
          </EmptyState>
        }
        actions={actions}
        below={(row) => asked === row.name && <DeleteModel name={row.name} onDone={() => setAsked(null)} />}
      />
    </Page>
  );
}
