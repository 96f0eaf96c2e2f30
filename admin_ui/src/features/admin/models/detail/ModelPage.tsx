import { Button } from "@mantine/core";
import { IconArrowLeft, IconPlayerStop, IconRocket, IconTrash, IconUpload } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";

import { toFailure } from "@/api/errors";
import { useModels } from "@/api/queries";
import type { ModelView } from "@/api/types";
import { useSay } from "@/i18n/useSay";
import { EmptyState } from "@/ui/EmptyState";
import { FailureNotice } from "@/ui/FailureNotice";
import { PageHead } from "@/ui/PageHead";
import { Progress } from "@/ui/Progress";
import { RowAction } from "@/ui/RowAction";
import { State } from "@/ui/State";

import { Page } from "../../Page";
import { CancelImport } from "../CancelImport";
import { DeleteModel } from "../DeleteModel";
import { UploadsTable } from "../upload/UploadsTable";
import { useUploadPanel } from "../upload/useUploadPanel";
import { whyOf } from "../whyOf";
import { About } from "./About";
import styles from "./detail.module.css";
import { Fit } from "./Fit";
import { ModelFacts } from "./ModelFacts";
import { Revisions } from "./Revisions";

/** One model: what is said of it, its revisions, and whether it fits here. */
export function ModelPage() {
  const { t } = useTranslation();
  const { name = "" } = useParams();
  const models = useModels();
  const uploading = useUploadPanel(name);
  const model = models.data?.find((each) => each.name === name);
  const back = (
    <Link to="/admin/models" className={styles.back}>
      <IconArrowLeft size={14} stroke={1.75} aria-hidden />
      {t("nav.models")}
    </Link>
  );
  return uploading.withDrop(
    <Page panel={uploading.panel}>
      {back}
      {!models.data && models.error && (
        <FailureNotice failure={toFailure(models.error)} onRetry={() => void models.refetch()} />
      )}
      {!models.data && !models.error && <p role="status">{t("app.loading")}</p>}
      {models.data && !model && (
        <EmptyState title={t("library.model.goneTitle", { name })}>{t("library.model.goneBody")}</EmptyState>
      )}
      {model && <Sections key={name} model={model} onUpload={uploading.open} onChooseFiles={uploading.chooseFiles} />}
    </Page>,
  );
}

interface SectionsProps {
  model: ModelView;
  onUpload: () => void;
  onChooseFiles: (id: string) => void;
}

function Sections({ model, onUpload, onChooseFiles }: SectionsProps) {
  const { t } = useTranslation();
  const say = useSay();
  const navigate = useNavigate();
  const [asked, setAsked] = useState<"delete" | "cancel" | null>(null);
  const { name, state, deployments, progress } = model;
  const inUse = deployments.length > 0 ? t("admin.models.inUse", { names: deployments.join(", ") }) : undefined;
  return (
    <>
      <PageHead title={name}>
        {progress && (
          <RowAction
            icon={IconPlayerStop}
            label={t("library.import.cancel")}
            of={name}
            onClick={() => setAsked("cancel")}
          />
        )}
        <RowAction
          icon={IconTrash}
          label={t("admin.models.delete")}
          of={name}
          blocked={inUse}
          onClick={() => setAsked("delete")}
        />
        <Button variant="default" leftSection={<IconUpload size={14} stroke={2} />} onClick={onUpload}>
          {t("library.model.uploadRevision")}
        </Button>
        {state === "ready" && (
          <Button
            component={Link}
            to={`/admin/deployments?deploy=${encodeURIComponent(name)}`}
            leftSection={<IconRocket size={14} stroke={2} />}
          >
            {t("admin.models.deploy")}
          </Button>
        )}
      </PageHead>
      <div className={styles.lead}>
        {asked === "delete" && (
          <DeleteModel name={name} onDone={() => setAsked(null)} onDeleted={() => void navigate("/admin/models")} />
        )}
        {asked === "cancel" && <CancelImport name={name} onDone={() => setAsked(null)} />}
        <State state={state} reason={whyOf(model, say)} />
        {progress && <Progress progress={progress} label={name} />}
      </div>
      <ModelFacts model={model} />
      <UploadsTable model={name} onChooseFiles={onChooseFiles} />
      <About model={model} />
      <Revisions model={model} />
      {model.revision && <Fit model={model} />}
    </>
  );
}
