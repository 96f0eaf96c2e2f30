import { Button, Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { api, expectData } from "@/api/client";
import { toFailure } from "@/api/errors";
import type { ModelView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { onEscape } from "@/ui/onEscape";
import { shortDigest } from "@/ui/shortDigest";
import { useTakenFocus } from "@/ui/useTakenFocus";

import styles from "../detail.module.css";
import { Section } from "../Section";
import { Differences } from "./Differences";
import { comparable, usualBefore } from "./revisions";

interface Props {
  model: ModelView;
  /** Digest of the revision that is looked at. */
  after: string;
  onClose: () => void;
}

/** What differs in a revision since another one, which can be chosen. Escape closes it. */
export function Comparison({ model, after, onClose }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const [chosen, setChosen] = useState<string | null>(null);
  const others = comparable(model.revisions).filter((each) => each.digest !== after);
  const before = others.find((each) => each.digest === chosen)?.digest ?? usualBefore(model.revisions, after);
  const place = useTakenFocus<HTMLDivElement>();
  const found = useQuery({
    queryKey: ["comparison", model.name, before, after],
    enabled: before !== null,
    queryFn: async () =>
      expectData(
        await api.GET("/api/v1/models/{name}/revisions/{digest}/changes", {
          params: { path: { name: model.name, digest: after }, query: { since: before } },
        }),
      ),
  });
  const close = (
    <Button variant="default" onClick={onClose}>
      {t("common.close")}
    </Button>
  );
  return (
    <div ref={place} className={styles.place} tabIndex={-1} onKeyDown={onEscape(onClose)}>
      <Section title={t("library.compare.title", { name: shortDigest(after) })} tools={close}>
        <Select
          className={styles.choice}
          label={t("library.compare.with")}
          data={others.map((each) => ({
            value: each.digest,
            label: [shortDigest(each.digest), each.notes || format.time(each.created_at)].join(" · "),
          }))}
          value={before}
          onChange={setChosen}
          allowDeselect={false}
        />
        {found.isLoading && <p role="status">{t("library.compare.looking")}</p>}
        {found.error && <FailureNotice failure={toFailure(found.error)} onRetry={() => void found.refetch()} />}
        {found.data && <Differences found={found.data} />}
      </Section>
    </div>
  );
}
