import { Button } from "@mantine/core";
import { IconArrowsVertical, IconMessage, IconReplace, IconPlayerStop, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";

import { useDeployments, useSwaps } from "@/api/queries";
import type { DeploymentView } from "@/api/types";
import { EmptyState } from "@/ui/EmptyState";
import { LiveTable } from "@/ui/LiveTable";
import { RowAction } from "@/ui/RowAction";

import { Page } from "../Page";
import { usePanel } from "../usePanel";
import { useDeploymentColumns } from "./columns";
import { DeployPanel } from "./DeployPanel";
import { Overview } from "./Overview";
import { ScaleForm } from "./ScaleForm";
import { swapsOf } from "./swap/steps";
import { SwapPanel } from "./swap/SwapPanel";
import { SwapLine } from "./swap/SwapProgress";
import { Undeploy } from "./Undeploy";

type Asked = { name: string; what: "scale" | "undeploy" } | null;

export function DeploymentsPage() {
  const { t } = useTranslation();
  const query = useDeployments();
  const columns = useDeploymentColumns();
  const panel = usePanel("deploy");
  const revision = useSearchParams()[0].get("revision") ?? "";
  const swapping = usePanel("swap");
  const swaps = useSwaps().data;
  const [asked, setAsked] = useState<Asked>(null);
  const done = () => setAsked(null);

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
        <RowAction
          icon={IconArrowsVertical}
          label={t("admin.deployments.scale")}
          of={name}
          onClick={() => setAsked({ name, what: "scale" })}
        />
      )}
      <RowAction
        icon={IconPlayerStop}
        label={t("admin.deployments.undeploy")}
        of={name}
        onClick={() => setAsked({ name, what: "undeploy" })}
      />
    </>
  );
  const below = (row: DeploymentView) => {
    if (asked?.name !== row.name) {
      const active = swapsOf(swaps, row.name).findLast((each) => each.active);
      return active && <SwapLine swap={active} />;
    }
    return asked.what === "scale" ? (
      <ScaleForm deployment={row} onDone={done} />
    ) : (
      <Undeploy name={row.name} onDone={done} />
    );
  };
  return (
    <Page
      panel={
        (panel.isOpen && (
          <DeployPanel
            key={`${panel.value} ${revision}`}
            model={panel.value}
            revision={revision}
            onClose={panel.close}
          />
        )) ||
        (swapping.isOpen && <SwapPanel key={swapping.value} name={swapping.value} onClose={swapping.close} />)
      }
    >
      <LiveTable
        title={t("nav.deployments")}
        query={query}
        columns={columns}
        keyOf={(row) => row.name}
        wordsOf={(row) => `${row.name} ${row.model} ${row.state} ${row.reason}`}
        tools={deploy}
        above={<Overview />}
        empty={
          <EmptyState title={t("admin.deployments.emptyTitle")} actions={deploy}>
            {t("admin.deployments.emptyBody")}
          </EmptyState>
        }
        actions={actions}
        below={below}
      />
    </Page>
  );
}
