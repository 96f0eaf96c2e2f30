import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { useDeleteModel } from "./actions";

export function DeleteModel({ name, onDone }: { name: string; onDone: () => void }) {
  const { t } = useTranslation();
  const remove = useDeleteModel(name, onDone);
  return (
    <InlineConfirm
      question={t("admin.models.deleteAsk", { name })}
      action={t("admin.models.delete")}
      busy={remove.isPending}
      failure={remove.error && toFailure(remove.error)}
      onConfirm={() => remove.mutate()}
      onCancel={onDone}
    />
  );
}
