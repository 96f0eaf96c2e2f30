import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { InlineConfirm } from "@/ui/InlineConfirm";

import type { UploadRow } from "./rows";
import { cancelUpload } from "./store";

export function CancelUpload({ row, onDone }: { row: UploadRow; onDone: () => void }) {
  const { t } = useTranslation();
  const cancel = useMutation({ mutationFn: () => cancelUpload(row.id), onSuccess: onDone });
  return (
    <InlineConfirm
      question={t("library.upload.cancelAsk", { name: row.name })}
      action={t("library.upload.cancel")}
      busy={cancel.isPending}
      failure={cancel.error && toFailure(cancel.error)}
      onConfirm={() => cancel.mutate()}
      onCancel={onDone}
    />
  );
}
