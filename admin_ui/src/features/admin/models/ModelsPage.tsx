import { Button } from "@mantine/core";
import { IconDownload, IconPlayerStop, IconRocket, IconTrash, IconUpload } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useModels } from "@/api/queries";
import type { ModelView } from "@/api/types";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { CancelImport } from "./CancelImport";
import { useModelColumns } from "./columns";
import { DeleteModel } from "./DeleteModel";
import { FreeSpace } from "./FreeSpace";
import { ImportPanel } from "./ImportPanel";
import { UploadsTable } from "./upload/UploadsTable";
import { useUploadPanel } from "./upload/useUploadPanel";
import { useUploadRows } from "./upload/useUploadRows";

type Asked = { name: string; what: "delete" | "cancel" } | null;

export function ModelsPage() {
  const { t } = useTranslation();
  const query = useModels();
  const columns = useModelColumns();
  const importing = usePanel("import");
  const uploading = useUploadPanel("");
  const isUploading = useUploadRows().length > 0;
  const [asked, setAsked] = useState<Asked>(null);
  const [freeing, setFreeing] = useState(false);
  const done = () => setAsked(null);
  const bringIn = (
    <>
      <Button variant="default" leftSection={<IconDownload size={14} stroke={2} />} onClick={importing.open}>
        {t("admin.models.import")}
      </Button>
      <Button leftSection={<IconUpload size={14} stroke={2} />} onClick={uploading.open}>
        {t("library.upload.open")}
      </Button>
    </>
  );
  const tools = (
    <>
      <Button variant="subtle" color="gray" onClick={() => setFreeing(true)} disabled={freeing}>
        {t("library.free.open")}
      </Button>
      {bringIn}
    </>
  );
  const actions = ({ name, state, progress, deployments }: ModelView) => (
    <>
      {progress && (
        <RowAction
          icon={IconPlayerStop}
          label={t("library.import.cancel")}
          of={name}
          onClick={() => setAsked({ name, what: "cancel" })}
        />
      )}
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
        onClick={() => setAsked({ name, what: "delete" })}
      />
    </>
  );
  const below = ({ name }: ModelView) => {
    if (asked?.name !== name) return null;
    const Question = asked.what === "delete" ? DeleteModel : CancelImport;
    return <Question name={name} onDone={done} />;
  };
  return uploading.withDrop(
    <Page panel={uploading.panel || (importing.isOpen && <ImportPanel onClose={importing.close} />)}>
      <LiveTable
        title={t("nav.models")}
        query={query}
        columns={columns}
        keyOf={(row) => row.name}
        wordsOf={(row) => [row.name, row.source, row.architecture, row.state, row.task, ...row.tags].join(" ")}
        tools={tools}
        above={
          <>
            {freeing && <FreeSpace onDone={() => setFreeing(false)} />}
            <UploadsTable onChooseFiles={uploading.chooseFiles} />
          </>
        }
        empty={
          !isUploading && (
            <EmptyState title={t("admin.models.emptyTitle")} actions={bringIn}>
              {t("admin.models.emptyBody")}
            </EmptyState>
          )
        }
        actions={actions}
        below={below}
      />
    </Page>,
  );
}
