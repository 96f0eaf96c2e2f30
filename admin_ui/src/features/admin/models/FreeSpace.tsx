import { Button } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { InlineConfirm } from "@/ui/InlineConfirm";
import { Notice } from "@/ui/Notice";

import { useGarbage } from "./actions";
import styles from "./models.module.css";

/** First says how much would be freed, then frees it. */
export function FreeSpace({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const looking = useGarbage();
  const freeing = useGarbage();
  const look = looking.mutate;
  useEffect(() => look(true), [look]);
  const close = (
    <Button variant="default" onClick={onDone} autoFocus>
      {t("common.close")}
    </Button>
  );
  const said = (words: string) => <Notice tone="info" title={words} actions={close} />;
  return (
    <div className={styles.between}>
      {looking.isPending && <p role="status">{t("library.free.looking")}</p>}
      {looking.error && <FailureNotice failure={toFailure(looking.error)} onRetry={() => look(true)} />}
      {freeing.data && said(t("library.free.freed", { size: format.bytes(freeing.data.freed_bytes) }))}
      {looking.data?.freed_bytes === 0 && said(t("library.free.nothing"))}
      {looking.data && looking.data.freed_bytes > 0 && !freeing.data && (
        <InlineConfirm
          question={t("library.free.ask", { size: format.bytes(looking.data.freed_bytes) })}
          action={t("library.free.action")}
          busy={freeing.isPending}
          failure={freeing.error && toFailure(freeing.error)}
          onConfirm={() => freeing.mutate(false)}
          onCancel={onDone}
        />
      )}
    </div>
  );
}
