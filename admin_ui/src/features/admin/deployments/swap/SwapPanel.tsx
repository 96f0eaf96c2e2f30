import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useDeployments, useSwaps } from "@/api/queries";
import type { SwapView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { SidePanel } from "@/ui/SidePanel";
import { State } from "@/ui/State";
import { Code } from "@/ui/Text";
import { useNow } from "@/ui/useNow";

import { useRollback } from "./actions";
import { isCancellable, swapsOf } from "./steps";
import styles from "./swap.module.css";
import { SwapForm } from "./SwapForm";
import { SwapProgress } from "./SwapProgress";

/** The swaps of one deployment: what is on, how to begin one, how to go back. */
export function SwapPanel({ name, onClose }: { name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const deployment = useDeployments().data?.find((each) => each.name === name);
  const [last, ...earlier] = swapsOf(useSwaps().data, name);
  const active = last?.active ? [last, ...earlier.filter((each) => each.active)].reverse() : [];
  const past = earlier.filter((each) => !each.active);
  return (
    <SidePanel title={t("swap.title", { name })} onClose={onClose}>
      <div>
        {!deployment && <p>{t("swap.gone")}</p>}
        {deployment && (
          <div>
            {t("swap.serves")} <Code short>{deployment.revision}</Code>
          </div>
        )}
        {active.map((swap) => (
          <SwapProgress key={swap.id} swap={swap} />
        ))}
        {last && !last.active && <SwapProgress swap={last} />}
        {last && <Rollback name={name} swap={active[0] ?? last} />}
        {deployment && <SwapForm deployment={deployment} target={last?.active ? last.to_revision : undefined} />}
        {past.length > 0 && <Past swaps={past} />}
      </div>
    </SidePanel>
  );
}

/** Of the swap that is on, or of the last one. */
function Rollback({ name, swap }: { name: string; swap: SwapView }) {
  const { t } = useTranslation();
  const rollback = useRollback(name);
  if (swap.step === "failed" || swap.step === "undoing" || swap.step === "returning") return null;
  return (
    <>
      <Button variant="default" loading={rollback.isPending} onClick={() => rollback.mutate()}>
        {t(isCancellable(swap) ? "swap.cancel" : "swap.rollback")}
      </Button>
      {rollback.error && <FailureNotice failure={toFailure(rollback.error)} />}
    </>
  );
}

function Past({ swaps }: { swaps: SwapView[] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow(30_000);
  return (
    <details className={styles.past}>
      <summary>{t("swap.earlier")}</summary>
      <ul>
        {swaps.map((swap) => (
          <li key={swap.id}>
            <State state={swap.step} /> <Code short>{swap.to_revision}</Code>
            <span title={format.time(swap.started_at)}>{format.ago(swap.started_at, now)}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}
