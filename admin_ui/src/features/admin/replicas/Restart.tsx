import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { ReplicaView } from "@/api/types";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { useRestart } from "./actions";

export function Restart({ replica, onDone }: { replica: ReplicaView; onDone: () => void }) {
  const { t } = useTranslation();
  const restart = useRestart(replica.id, onDone);
  return (
    <InlineConfirm
      question={t("replica.restartAsk", { name: replica.deployment })}
      action={t("replica.restart")}
      busy={restart.isPending}
      failure={restart.error && toFailure(restart.error)}
      onConfirm={() => restart.mutate()}
      onCancel={onDone}
    />
  );
}
