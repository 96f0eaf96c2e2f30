import { useModels, useUploads } from "@/api/queries";

import { uploadRows, type UploadRow } from "./rows";
import { useTransfers } from "./store";

/** Of all models, or of one. */
export function useUploadRows(model?: string): UploadRow[] {
  const transfers = useTransfers((store) => store.transfers);
  const rows = uploadRows(transfers, useUploads().data ?? [], useModels().data ?? []);
  return model === undefined ? rows : rows.filter((row) => row.name === model);
}
