import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { useUndeploy } from "./actions";

export function Undeploy({ name, onDone }: { name: string; onDone: () => void }) {
  const { t } = useTranslation();
  const undeploy = useUndeploy(name, onDone);
  return (
    <InlineConfirm
      question={t("admin.deployments.undeployAsk", { name })}
      action={t("admin.deployments.undeploy")}
      busy={undeploy.isPending}
      failure={undeploy.error && toFailure(undeploy.error)}
      onConfirm={() => undeploy.mutate()}
      onCancel={onDone}
    />
  );
}
