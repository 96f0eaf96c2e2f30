import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { OverrideView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";

import { useScale } from "./actions";
import styles from "./scaling.module.css";

interface Props {
  name: string;
  override: OverrideView;
  now: number;
  /** It will go away, and the focus with it. */
  onRelease: () => void;
}

/** A number that holds whatever the load says, for how long still, and how to end that. */
export function Held({ name, override, now, onRelease }: Props) {
  const { t } = useTranslation();
  const format = useFormat();
  const release = useScale(name);
  return (
    <section className={styles.held} aria-label={t("scaling.byHand")}>
      <strong>{t("scaling.hand.holds", { n: override.replicas })}</strong>
      {override.until === null ? (
        <span>{t("scaling.hand.holdsOpen")}</span>
      ) : (
        <span className="tabular" title={format.time(override.until)}>
          {t("scaling.hand.left", { time: format.duration(Math.ceil(override.until - now)) })}
        </span>
      )}
      <Button variant="default" loading={release.isPending} onClick={() => release.mutate({ auto: true }, { onSuccess: onRelease })}>
        {t("scaling.hand.release")}
      </Button>
      {release.error && <FailureNotice failure={toFailure(release.error)} />}
    </section>
  );
}
