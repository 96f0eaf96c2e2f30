import { NumberInput, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { api, expectData } from "@/api/client";
import { toFailure } from "@/api/errors";
import type { ModelView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { shortDigest } from "@/ui/shortDigest";

import { Amount } from "./Amount";
import styles from "./detail.module.css";
import { FitAnswer } from "./FitAnswer";
import { queryOf, type FitQuestion } from "./fitQuestion";
import { Section } from "./Section";

/** Of a model that does not say how much it reads. */
const USUAL_CONTEXT = 32_768;
const MANY_REQUESTS = 256;
/** Typing is not asking. */
const PAUSE_MS = 300;
/** What is free changes as other replicas come and go. */
const ASK_AGAIN_MS = 15_000;

/** Whether a revision fits here, and what would fit instead. */
export function Fit({ model }: { model: ModelView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const [form, setForm] = useState<Omit<FitQuestion, "revision">>({
    contextTokens: null,
    concurrency: 1,
    gpus: null,
    kvDtype: "auto",
  });
  const [chosen, setChosen] = useState<string | null>(null);
  const ready = model.revisions.filter((each) => each.state === "ready");
  const revision = ready.some((each) => each.digest === chosen) && chosen ? chosen : model.revision;
  const change = (part: Partial<typeof form>) => setForm((old) => ({ ...old, ...part }));
  const [question] = useDebouncedValue({ ...form, revision }, PAUSE_MS);
  const fit = useQuery({
    queryKey: ["fit", model.name, question],
    queryFn: async () =>
      expectData(
        await api.GET("/api/v1/models/{name}/fit", {
          params: { path: { name: model.name }, query: queryOf(question) },
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: ASK_AGAIN_MS,
    gcTime: 0,
  });
  const most = ready.find((each) => each.digest === revision)?.max_model_len ?? null;
  return (
    <Section title={t("library.fit.title")}>
      <div className={styles.fields}>
        {ready.length > 1 && (
          <Select
            label={t("col.revision")}
            data={ready.map((each) => ({ value: each.digest, label: shortDigest(each.digest) }))}
            value={revision}
            onChange={setChosen}
            allowDeselect={false}
          />
        )}
        <Amount
          label={t("library.fit.context")}
          placeholder={most === null ? t("admin.deployments.auto") : format.number(most)}
          value={form.contextTokens}
          most={most ?? USUAL_CONTEXT}
          max={2 ** 24}
          onChange={(contextTokens) => change({ contextTokens })}
        />
        <Amount
          label={t("library.fit.concurrency")}
          value={form.concurrency}
          most={MANY_REQUESTS}
          max={100_000}
          onChange={(concurrency) => change({ concurrency: concurrency ?? 1 })}
        />
        <NumberInput
          label={t("admin.deployments.gpus")}
          placeholder={t("admin.deployments.auto")}
          value={form.gpus ?? ""}
          onChange={(value) => change({ gpus: typeof value === "number" ? value : null })}
          min={0}
          max={64}
        />
        <Select
          label={t("library.fit.kvDtype")}
          data={[
            { value: "auto", label: t("library.fit.kvAuto") },
            { value: "fp8", label: "FP8" },
          ]}
          value={form.kvDtype}
          onChange={(value) => change({ kvDtype: value === "fp8" ? "fp8" : "auto" })}
          allowDeselect={false}
        />
      </div>
      {fit.isPending && <p role="status">{t("library.fit.asking")}</p>}
      {fit.error && <FailureNotice failure={toFailure(fit.error)} onRetry={() => void fit.refetch()} />}
      {fit.data && !fit.error && <FitAnswer fit={fit.data} isOld={fit.isPlaceholderData} />}
    </Section>
  );
}
