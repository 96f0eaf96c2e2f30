import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { Failure } from "@/api/errors";
import { useFormat } from "@/i18n/useFormat";
import { useSay } from "@/i18n/useSay";

import { adviceFor, type Advice } from "./advice";
import { Notice } from "./Notice";

interface Props {
  failure: Failure;
  onRetry?: (() => void) | undefined;
  /** Known better here than the failure alone can tell. */
  advice?: Advice | undefined;
}

/** What happened (the server's words), and the next step (ours). */
export function FailureNotice({ failure, onRetry, advice = adviceFor(failure) }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const say = useSay();
  const happened = advice === "unreachable" ? "" : say(failure.message, failure.sentence);
  return (
    <Notice
      tone={failure.status === 503 ? "wait" : "bad"}
      title={happened || undefined}
      actions={
        onRetry && (
          <Button variant="default" onClick={onRetry}>
            {t("common.retry")}
          </Button>
        )
      }
    >
      {t(`error.${advice}`, { code: failure.code })}{" "}
      {failure.retryAfterS !== null && advice !== "readyNow" && t("error.retryIn", { time: format.duration(failure.retryAfterS) })}
    </Notice>
  );
}
