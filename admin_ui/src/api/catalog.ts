/** The models a chat page shows, before the first event: read off `/v1/models`. PURE. */
import type { CatalogView } from "./types";

interface ListedModel {
  id: string;
  status?: string;
  description?: string;
  max_model_len?: number | null;
  revision?: string;
  images?: boolean;
}

const STATUSES = ["starting", "ready", "asleep", "swapping", "stopped", "failed"] as const;

export function catalogOf(list: { data?: ListedModel[] }): CatalogView[] {
  return (list.data ?? []).map((model) => ({
    name: model.id,
    status: STATUSES.find((each) => each === model.status) ?? "ready",
    detail: "",
    sentences: {},
    max_model_len: model.max_model_len ?? null,
    simulated: /simulated/i.test(model.description ?? ""),
    images: model.images ?? false,
    revision: model.revision ?? "",
    retry_after_s: 10,
  }));
}
