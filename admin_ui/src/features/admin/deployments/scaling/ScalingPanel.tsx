import { useRef } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useDeployments } from "@/api/queries";
import { FailureNotice } from "@/ui/FailureNotice";
import { SidePanel } from "@/ui/SidePanel";
import { useNow } from "@/ui/useNow";

import { useScaling } from "./actions";
import { Decisions } from "./Decisions";
import { Held } from "./Held";
import { Present } from "./Present";
import { standing, wantedOf } from "./override";
import { Rules } from "./Rules";
import { SetByHand } from "./SetByHand";

/** How many replicas one deployment has, and why; and how to set their number by hand. */
export function ScalingPanel({ name, onClose }: { name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const field = useRef<HTMLInputElement>(null);
  const deployment = useDeployments().data?.find((each) => each.name === name);
  const scaling = useScaling(name);
  const override = deployment ? standing(deployment.override, now) : null;
  const wanted = deployment ? wantedOf(deployment, now) : 0;
  return (
    <SidePanel title={t("scaling.title", { name })} onClose={onClose}>
      <div>
        {!deployment && <p>{t("scaling.gone")}</p>}
        {deployment && (
          <>
            <Present deployment={deployment} wanted={wanted} byHand={override !== null} />
            {override && <Held name={name} override={override} now={now} onRelease={() => field.current?.focus()} />}
            <SetByHand deployment={deployment} wanted={wanted} field={field} />
            <Rules deployment={deployment} />
            {scaling.data && deployment.scaling && <Decisions records={scaling.data.records} now={now} />}
            {scaling.error && !scaling.data && <FailureNotice failure={toFailure(scaling.error)} />}
          </>
        )}
      </div>
    </SidePanel>
  );
}
