import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { api, expectData } from "@/api/client";
import { toFailure } from "@/api/errors";
import { CopyButton } from "@/ui/CopyButton";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";

import styles from "./Join.module.css";

/** The join command, asked for only when somebody wants to see it: it is a secret. */
export function Join() {
  const { t } = useTranslation();
  const [shown, setShown] = useState(false);
  const join = useQuery({
    queryKey: ["join"],
    queryFn: async () => expectData(await api.GET("/api/v1/join")),
    enabled: shown,
    gcTime: 0,
    staleTime: 0,
  });
  return (
    <section className={styles.join} aria-labelledby="join-title">
      <h2 id="join-title" className={styles.title}>
        {t("admin.nodes.joinTitle")}
      </h2>
      <p className={styles.body}>{t("admin.nodes.joinBody")}</p>
      <Button variant="default" aria-expanded={shown} onClick={() => setShown((old) => !old)}>
        {t(shown ? "admin.nodes.joinHide" : "admin.nodes.joinShow")}
      </Button>
      {shown && join.isPending && <p role="status">{t("admin.nodes.joinLoading")}</p>}
      {shown && join.error && <FailureNotice failure={toFailure(join.error)} onRetry={() => void join.refetch()} />}
      {shown && join.data && !join.data.reachable && (
        <Notice tone="wait" title={t("admin.nodes.unreachable")}>
          {join.data.note}
        </Notice>
      )}
      {shown && join.data && (
        <div className={styles.command}>
          <code data-testid="join-command">{join.data.command}</code>
          <CopyButton text={() => join.data.command} label={t("common.copy")} />
        </div>
      )}
    </section>
  );
}
