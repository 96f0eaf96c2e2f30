import { useTranslation } from "react-i18next";

import type { ModelView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";

import styles from "./detail.module.css";

/** What the revision that the model stands for consists of, in one line of figures. */
export function ModelFacts({ model }: { model: ModelView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const revision = model.revisions.find((each) => each.digest === model.revision);
  if (!revision) return null;
  const facts = {
    architecture: revision.architecture,
    parameters: revision.parameters === null ? "" : format.compact(revision.parameters),
    dtype: [revision.dtype, revision.quantization].filter(Boolean).join(" · "),
    context: revision.max_model_len === null ? "" : t("unit.tokens", { n: format.context(revision.max_model_len) }),
    size: format.bytes(revision.size_bytes),
    deployed: model.deployments.join(", "),
  };
  return (
    <dl className={styles.facts} aria-label={t("library.model.facts")}>
      {Object.entries(facts)
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name} className={styles.fact}>
            <dt>{t(`library.fact.${name as keyof typeof facts}`)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
