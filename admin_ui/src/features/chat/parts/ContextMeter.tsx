import { Tooltip } from "@mantine/core";
import { memo, useDeferredValue, useMemo } from "react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";

import { measure } from "../state/context";
import { useBranch, useConversation } from "../state/useOpenChat";
import styles from "./Composer.module.css";

/** How full the context is with what the next message brings along. */
export const ContextMeter = memo(function ContextMeter({ modelTokens, draft }: { modelTokens: number | null; draft: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const conversation = useConversation();
  const settings = conversation?.settings;
  const branch = useDeferredValue(useBranch(conversation));
  const use = useMemo(
    () => (settings ? measure(branch, settings, modelTokens, draft) : null),
    [branch, settings, modelTokens, draft],
  );
  if (use === null || (branch.length === 0 && draft === "")) return null;
  const { usedTokens, limitTokens } = use;
  const used = format.compact(usedTokens);
  const words =
    limitTokens === null
      ? t("chat.meterUnknown", { used })
      : t("chat.meter", { used, limit: format.context(limitTokens) });
  return (
    <Tooltip label={`${t("chat.meterHelp")}: ${words}`}>
      <span className={styles.use} data-testid="context-meter">
        {limitTokens !== null && (
          <meter
            className={styles.meter}
            aria-label={t("chat.meterHelp")}
            min={0}
            max={limitTokens}
            value={Math.min(usedTokens, limitTokens)}
            data-full={usedTokens > limitTokens * 0.8}
          />
        )}
        <span className={styles.amount}>{words}</span>
      </span>
    </Tooltip>
  );
});
