import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useSession } from "@/api/session";
import type { CatalogView } from "@/api/types";
import { useSay } from "@/i18n/useSay";
import { Countdown } from "@/ui/Countdown";
import { EmptyState } from "@/ui/EmptyState";
import { FailureNotice } from "@/ui/FailureNotice";

import type { Models } from "../state/useOpenChat";
import styles from "./Welcome.module.css";

interface Props {
  models: Models;
  onTemplates: () => void;
}

/** A chat without messages: what there is to speak to, and what to do next. */
export function Welcome({ models: { choice, pending, failure }, onTemplates }: Props) {
  const { t } = useTranslation();
  return (
    <div className={styles.view}>
      <div className={styles.column}>
        {failure && <FailureNotice failure={failure} />}
        {pending && <p role="status">{t("app.loading")}</p>}
        {!pending && !failure && choice.entry && <Meet entry={choice.entry} onTemplates={onTemplates} />}
        {!pending && !failure && choice.name === null && <NoModel />}
      </div>
    </div>
  );
}

function NoModel() {
  const { t } = useTranslation();
  const admin = useSession().data?.role === "admin";
  const deploy = (
    <Button component={Link} to="/admin/deployments?deploy" size="sm">
      {t("empty.deploy")}
    </Button>
  );
  return (
    <EmptyState title={t("empty.noneTitle")} actions={admin && deploy}>
      {t(admin ? "empty.noneAdmin" : "empty.noneUser")}
    </EmptyState>
  );
}

function Meet({ entry, onTemplates }: { entry: CatalogView; onTemplates: () => void }) {
  const { t } = useTranslation();
  const admin = useSession().data?.role === "admin";
  const say = useSay();
  const { status, name: model, detail, sentences } = entry;
  const broken = status === "failed" || status === "stopped";
  const look = (
    <Button component={Link} to="/admin/deployments" variant="default" size="sm">
      {t("empty.fixAdmin")}
    </Button>
  );
  const begin = (
    <Button variant="default" size="sm" onClick={onTemplates}>
      {t("templates.open")}
    </Button>
  );
  return (
    <EmptyState title={t(`empty.${status}Title`, { model })} actions={broken ? admin && look : begin}>
      {detail && <p>{say(detail, sentences["detail"])}</p>}
      {status === "starting" && (
        <p>
          <Countdown seconds={entry.retry_after_s} />
        </p>
      )}
      {status === "starting" && <p>{t("empty.startingBody")}</p>}
      {status === "ready" && <p>{t("empty.readyBody")}</p>}
      {status === "asleep" && <p>{t("empty.asleepBody")}</p>}
      {status === "swapping" && <p>{t("empty.swappingBody")}</p>}
      {broken && !admin && <p>{t("empty.fixUser")}</p>}
    </EmptyState>
  );
}
