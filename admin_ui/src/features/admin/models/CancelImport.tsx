import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { InlineConfirm } from "@/ui/InlineConfirm";

import { useCancelImport } from "./actions";

export function CancelImport({ name, onDone }: { name: string; onDone: () => void }) {
  const { t } = useTranslation();
  const cancel = useCancelImport(name, onDone);
  return (
    <InlineConfirm
      question={t("library.import.cancelAsk", { name })}
      action={t("library.import.cancel")}
      busy={cancel.isPending}
      failure={cancel.error && toFailure(cancel.error)}
      onConfirm={() => cancel.mutate()}
      onCancel={onDone}
    />
  );
}
