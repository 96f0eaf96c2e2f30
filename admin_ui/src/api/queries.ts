/** Lists of the server. Each is fetched once and then kept up to date by `live.ts`. */
import { useQuery } from "@tanstack/react-query";

import { catalogOf } from "./catalog";
import { api, apiFetch, expectData } from "./client";
import { ApiError, failureOf } from "./errors";
import type { CatalogView, HistoryView, SwapView, UploadSummary } from "./types";

async function fetchCatalog(): Promise<CatalogView[]> {
  const response = await apiFetch("/v1/models");
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(failureOf(response.status, body));
  return catalogOf(body as Parameters<typeof catalogOf>[0]);
}

export const useCatalog = () => useQuery({ queryKey: ["catalog"], queryFn: fetchCatalog });

export const useModels = () =>
  useQuery({ queryKey: ["models"], queryFn: async () => expectData(await api.GET("/api/v1/models")) });

/** Uploads under way. The events leave out those that are done; this first answer those that wait for a verdict. */
export const useUploads = () =>
  useQuery({
    queryKey: ["uploads"],
    queryFn: async (): Promise<UploadSummary[]> =>
      expectData(await api.GET("/api/v1/uploads")).filter((each) => each.state === "receiving"),
  });

/** The last swaps of every deployment, oldest first. Only the events tell all of them at once. */
export const useSwaps = () => useQuery<SwapView[]>({ queryKey: ["swaps"], enabled: false, initialData: [] });

export const useDeployments = () =>
  useQuery({ queryKey: ["deployments"], queryFn: async () => expectData(await api.GET("/api/v1/deployments")) });

export const useAliases = () =>
  useQuery({ queryKey: ["aliases"], queryFn: async () => expectData(await api.GET("/api/v1/aliases")) });

export const useReplicas = () =>
  useQuery({ queryKey: ["replicas"], queryFn: async () => expectData(await api.GET("/api/v1/replicas")) });

export const useNodes = () =>
  useQuery({ queryKey: ["nodes"], queryFn: async () => expectData(await api.GET("/api/v1/nodes")) });

/** Not among the events: asked for again every 10 s while it is on screen. */
export const useSystem = () =>
  useQuery({
    queryKey: ["system"],
    queryFn: async () => expectData(await api.GET("/api/v1/system")),
    refetchInterval: 10_000,
  });

export const useProblems = () =>
  useQuery({ queryKey: ["problems"], queryFn: async () => expectData(await api.GET("/api/v1/problems")) });

export type HistoryWindow = HistoryView["window"];

/** Not among the events: read again every 10 s, as often as there is something new. */
export const useHistory = (window: HistoryWindow) =>
  useQuery({
    queryKey: ["history", window],
    queryFn: async () => expectData(await api.GET("/api/v1/history", { params: { query: { window } } })),
    refetchInterval: 10_000,
    // Another window shows the old one until it is there.
    placeholderData: (before) => before,
  });

/** Load of each replica in the last hour. */
export const useReplicaHistory = () =>
  useQuery({
    queryKey: ["history", "replicas"],
    queryFn: async () => expectData(await api.GET("/api/v1/history/replicas")),
    refetchInterval: 10_000,
  });
