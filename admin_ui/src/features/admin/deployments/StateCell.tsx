import { useTranslation } from "react-i18next";

import type { DeploymentView, ReplicaView, SwapView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";
import { Countdown } from "@/ui/Countdown";
import { State } from "@/ui/State";

import { useSleepSince } from "./scaling/actions";
import { stateSince } from "./since";

interface Props {
  row: DeploymentView;
  replicas: ReplicaView[];
  swaps: readonly SwapView[];
}

export function StateCell({ row, replicas, swaps }: Props) {
  const say = useSay();
  if (row.state === "asleep") return <Asleep row={row} />;
  return (
    <State
      state={row.state}
      since={stateSince(row, replicas, swaps)}
      // Ready rows say it all in the column of replicas, if they have any.
      reason={row.state === "ready" && row.replicas > 0 ? undefined : say(row.reason, row.sentences["reason"])}
    >
      {row.state === "starting" && row.eta_s !== null && <Countdown seconds={row.eta_s} />}
    </State>
  );
}

/** It has no replica to tell since when: the decision that let it sleep does. */
function Asleep({ row }: { row: DeploymentView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const since = useSleepSince(row.name);
  return (
    <State state="asleep" since={since} reason={say(row.reason, row.sentences["reason"])}>
      {row.eta_s !== null && t("scaling.startTakes", { time: format.duration(Math.ceil(row.eta_s)) })}
    </State>
  );
}
