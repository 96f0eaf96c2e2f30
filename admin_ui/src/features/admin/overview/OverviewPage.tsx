import { SegmentedControl, Select } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";

import { toFailure } from "@/api/errors";
import { useHistory, useNodes, useSystem, type HistoryWindow } from "@/api/queries";
import { useFormat } from "@/i18n/useFormat";
import { isEmpty } from "@/ui/chart/column";
import { FailureNotice } from "@/ui/FailureNotice";
import { PageHead } from "@/ui/PageHead";
import { useNow } from "@/ui/useNow";

import { Page } from "../Page";
import { Charts } from "./Charts";
import { seriesOf } from "./chartLines";
import { Figures } from "./Figures";
import { FirstSteps } from "./FirstSteps";
import { HostsTable } from "./HostsTable";
import { ModelsTable } from "./ModelsTable";
import styles from "./overview.module.css";
import { Problems } from "./Problems";

const WINDOWS: HistoryWindow[] = ["1h", "6h", "24h"];

export function OverviewPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const [model, setModel] = useState("");
  const window = WINDOWS.find((each) => each === params.get("window")) ?? "1h";
  const history = useHistory(window);
  // Whatever the charts show, figures are of the last seconds.
  const now = useHistory("1h").data;
  const nodes = useNodes().data ?? [];
  const models = history.data?.models ?? [];
  const nothing = history.data && isEmpty(history.data.total.in_flight);
  return (
    <Page>
      <PageHead title={t("nav.overview")}>
        {models.length > 1 && (
          <Select
            size="xs"
            w={168}
            aria-label={t("overview.model")}
            value={model}
            onChange={(value) => setModel(value ?? "")}
            data={[{ value: "", label: t("overview.allModels") }, ...models.map((each) => each.name)]}
            allowDeselect={false}
          />
        )}
        <SegmentedControl
          size="xs"
          aria-label={t("overview.window")}
          value={window}
          onChange={(value) => setParams({ window: value })}
          data={WINDOWS.map((value) => ({ value, label: t(`overview.windows.${value}`) }))}
        />
      </PageHead>
      <FirstSteps history={now} />
      <Problems />
      <Figures series={now && seriesOf(now, model)} />
      {history.error && !history.data && (
        <FailureNotice failure={toFailure(history.error)} onRetry={() => void history.refetch()} />
      )}
      {nothing ? (
        <p className={styles.fine}>{t("overview.nothingYet")}</p>
      ) : (
        history.data && <Charts history={history.data} nodes={nodes} model={model} />
      )}
      <ModelsTable now={now} past={history.data} />
      <HostsTable now={now} />
      <Foot />
    </Page>
  );
}

/** Which Roundhouse this is, and since when. */
function Foot() {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(30_000);
  const system = useSystem().data;
  if (!system) return null;
  const time = format.age(system.started_at, now);
  return <p className={styles.foot}>{t("overview.foot", { version: system.version, time })}</p>;
}
