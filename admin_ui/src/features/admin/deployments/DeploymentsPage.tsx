import { Button } from "@mantine/core";
import { IconArrowsVertical, IconMessage, IconPencil, IconReplace, IconPlayerStop, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";

import { useAliases, useDeployments, useSwaps } from "@/api/queries";
import type { DeploymentView } from "@/api/types";
import { useSay } from "@/i18n/useSay";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { Aliases } from "./aliases/Aliases";
import { EMPTY_ALIAS, aliasFormOf } from "./aliases/aliasForm";
import { AliasPanel } from "./aliases/AliasPanel";
import { useDeploymentColumns } from "./columns";
import { EMPTY_FORM, formOf } from "./deployForm";
import { DeployPanel } from "./DeployPanel";
import { ScalingPanel } from "./scaling/ScalingPanel";
import { swapsOf } from "./swap/steps";
import { SwapPanel } from "./swap/SwapPanel";
import { SwapLine } from "./swap/SwapProgress";
import { Undeploy } from "./Undeploy";

export function DeploymentsPage() {
  const { t } = useTranslation();
  const say = useSay();
  const query = useDeployments();
  const columns = useDeploymentColumns();
  const panel = usePanel("deploy");
  const revision = useSearchParams()[0].get("revision") ?? "";
  const changing = usePanel("change");
  const changed = query.data?.find((each) => each.name === changing.value);
  const swapping = usePanel("swap");
  const swaps = useSwaps().data;
  const scaling = usePanel("scaling");
  const alias = usePanel("alias");
  const named = useAliases().data?.find((each) => each.name === alias.value);
  const [leaving, setLeaving] = useState<string | null>(null);

  const deploy = (
    <Button leftSection={<IconPlus size={14} stroke={2} />} onClick={panel.open}>
      {t("admin.deployments.deploy")}
    </Button>
  );
  const actions = ({ name, engine, model }: DeploymentView) => (
    <>
      <RowAction
        icon={IconMessage}
        label={t("admin.deployments.chat")}
        of={name}
        to={`/?model=${encodeURIComponent(name)}`}
      />
      {model && (
        <RowAction icon={IconReplace} label={t("swap.open")} of={name} onClick={() => swapping.openWith(name)} />
      )}
      {engine !== "external" && (
        <>
          <RowAction
            icon={IconPencil}
            label={t("admin.deployments.change")}
            of={name}
            onClick={() => changing.openWith(name)}
          />
          <RowAction
            icon={IconArrowsVertical}
            label={t("admin.deployments.scale")}
            of={name}
            onClick={() => scaling.openWith(name)}
          />
        </>
      )}
      <RowAction
        icon={IconPlayerStop}
        label={t("admin.deployments.undeploy")}
        of={name}
        onClick={() => setLeaving(name)}
      />
    </>
  );
  const below = (row: DeploymentView) => {
    if (leaving === row.name) return <Undeploy name={row.name} onDone={() => setLeaving(null)} />;
    const active = swapsOf(swaps, row.name).findLast((each) => each.active);
    return active && <SwapLine swap={active} />;
  };
  return (
    <Page
      panel={
        (panel.isOpen && (
          <DeployPanel
            key={`${panel.value} ${revision}`}
            start={{ ...EMPTY_FORM, model: panel.value || null, revision: revision || null }}
            onClose={panel.close}
          />
        )) ||
        (changed && (
          <DeployPanel key={changed.name} start={formOf(changed)} changed={changed} onClose={changing.close} />
        )) ||
        (swapping.isOpen && <SwapPanel key={swapping.value} name={swapping.value} onClose={swapping.close} />) ||
        (scaling.isOpen && <ScalingPanel key={scaling.value} name={scaling.value} onClose={scaling.close} />) ||
        (alias.isOpen && (named || !alias.value) && (
          <AliasPanel
            key={alias.value}
            start={named ? aliasFormOf(named) : EMPTY_ALIAS}
            exists={named !== undefined}
            onClose={alias.close}
          />
        ))
      }
    >
      <LiveTable
        title={t("nav.deployments")}
        query={query}
        columns={columns}
        keyOf={(row) => row.name}
        wordsOf={(row) => `${row.name} ${row.model} ${row.state} ${say(row.reason, row.sentences["reason"])}`}
        tools={deploy}
        empty={
          <EmptyState title={t("admin.deployments.emptyTitle")} actions={deploy}>
            {t("admin.deployments.emptyBody")}
          </EmptyState>
        }
        actions={actions}
        below={below}
      />
      <Aliases onAdd={alias.open} onChange={alias.openWith} />
    </Page>
  );
}
