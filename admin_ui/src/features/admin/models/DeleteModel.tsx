import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { useDeleteModel } from "./actions";

interface Props {
  name: string;
  onDone: () => void;
  /** Where the page is the model's own: it has to leave it. */
  onDeleted?: () => void;
}

export function DeleteModel({ name, onDone, onDeleted = onDone }: Props) {
  const { t } = useTranslation();
  const remove = useDeleteModel(name, onDeleted);
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
