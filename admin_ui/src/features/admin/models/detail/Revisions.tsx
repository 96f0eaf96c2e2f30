import { IconGitCompare, IconRocket, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { ModelView, RevisionView } from "@/api/types";
import { DataTable } from "@/ui/DataTable";
import { InlineConfirm } from "@/ui/InlineConfirm";
import { RowAction } from "@/ui/RowAction";
import { shortDigest } from "@/ui/shortDigest";
import { Dim } from "@/ui/Text";

import { usePanel } from "../../usePanel";
import { useDeleteRevision } from "../actions";
import { Comparison } from "./compare/Comparison";
import { comparable } from "./compare/revisions";
import { useRevisionColumns } from "./revisionColumns";
import { Section } from "./Section";

/** All revisions, the newest first. */
export function Revisions({ model }: { model: ModelView }) {
  const { t } = useTranslation();
  const columns = useRevisionColumns(model.revision);
  const [asked, setAsked] = useState<string | null>(null);
  const comparing = usePanel("compare");
  const rows = [...model.revisions].reverse();
  const ready = comparable(model.revisions);
  const compared = ready.find(({ digest }) => digest === comparing.value);
  const actions = (row: RevisionView) => {
    const name = shortDigest(row.digest);
    return (
      <>
        {row.state === "ready" && (
          <RowAction
            icon={IconRocket}
            label={t("library.revision.deploy")}
            of={name}
            to={`/admin/deployments?${new URLSearchParams({ deploy: model.name, revision: row.digest })}`}
          />
        )}
        {row.state === "ready" && ready.length > 1 && (
          <RowAction
            icon={IconGitCompare}
            label={t("library.revision.compare")}
            of={name}
            onClick={() => comparing.openWith(row.digest)}
          />
        )}
        <RowAction
          icon={IconTrash}
          label={t("library.revision.delete")}
          of={name}
          blocked={blockedBy(row)}
          onClick={() => setAsked(row.digest)}
        />
      </>
    );
  };
  const blockedBy = ({ state, deployments }: RevisionView) => {
    if (deployments.length > 0) return t("library.revision.inUse", { names: deployments.join(", ") });
    return state === "verifying" ? t("library.revision.verifying") : undefined;
  };
  return (
    <>
      <Section title={t("library.revision.title")} isTable={rows.length > 0}>
        {rows.length === 0 ? (
          <Dim>{t("library.revision.none")}</Dim>
        ) : (
          <DataTable
            label={t("library.revision.title")}
            columns={columns}
            rows={rows}
            keyOf={(row) => row.digest}
            actions={actions}
            below={(row) =>
              asked === row.digest && <DeleteRevision model={model.name} row={row} onDone={() => setAsked(null)} />
            }
          />
        )}
      </Section>
      {compared && ready.length > 1 && (
        <Comparison key={compared.digest} model={model} after={compared.digest} onClose={comparing.close} />
      )}
    </>
  );
}

function DeleteRevision({ model, row, onDone }: { model: string; row: RevisionView; onDone: () => void }) {
  const { t } = useTranslation();
  const remove = useDeleteRevision(model, row.digest, onDone);
  return (
    <InlineConfirm
      question={t("library.revision.deleteAsk", { name: shortDigest(row.digest) })}
      action={t("library.revision.delete")}
      busy={remove.isPending}
      failure={remove.error && toFailure(remove.error)}
      onConfirm={() => remove.mutate()}
      onCancel={onDone}
    />
  );
}
