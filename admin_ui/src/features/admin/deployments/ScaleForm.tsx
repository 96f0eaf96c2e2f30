import { Button, NumberInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { DeploymentView } from "@/api/types";
import { FailureNotice } from "@/ui/FailureNotice";

import { useScale } from "./actions";
import styles from "./deployments.module.css";

export function ScaleForm({ deployment, onDone }: { deployment: DeploymentView; onDone: () => void }) {
  const { t } = useTranslation();
  const [replicas, setReplicas] = useState<number | string>(deployment.replicas);
  const scale = useScale(deployment.name, onDone);
  const label = t("admin.deployments.scaleLabel", { name: deployment.name });
  return (
    <form
      className={styles.scale}
      onKeyDown={(event) => event.key === "Escape" && onDone()}
      onSubmit={(event) => {
        event.preventDefault();
        if (typeof replicas === "number") scale.mutate(replicas);
      }}
    >
      <label htmlFor="scale-replicas">{label}</label>
      <NumberInput
        id="scale-replicas"
        size="xs"
        w={80}
        value={replicas}
        onChange={setReplicas}
        min={0}
        max={1024}
        allowDecimal={false}
        autoFocus
      />
      <Button variant="default" onClick={onDone}>
        {t("common.cancel")}
      </Button>
      <Button type="submit" loading={scale.isPending} disabled={replicas === "" || replicas === deployment.replicas}>
        {t("admin.deployments.apply")}
      </Button>
      {scale.error && <FailureNotice failure={toFailure(scale.error)} />}
    </form>
  );
}
