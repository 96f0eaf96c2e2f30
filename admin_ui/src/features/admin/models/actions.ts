import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";
import type { ModelChange, ModelImport } from "@/api/types";

/** Nothing is written to the cache here: the events bring what came of it. */
export function useImport(onDone: () => void) {
  return useMutation({
    mutationFn: async (wanted: Partial<ModelImport> & Pick<ModelImport, "source">) =>
      // Fields with a default may be left out; the generated type asks for all of them.
      expectData(await api.POST("/api/v1/models", { body: wanted as ModelImport })),
    onSuccess: onDone,
  });
}

export function useCancelImport(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () =>
      expectData(await api.DELETE("/api/v1/models/{name}/import", { params: { path: { name } } })),
    onSuccess: onDone,
  });
}

export function useDescribe(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async (change: ModelChange) =>
      expectData(await api.PATCH("/api/v1/models/{name}", { params: { path: { name } }, body: change })),
    onSuccess: onDone,
  });
}

export function useDeleteModel(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () => expectData(await api.DELETE("/api/v1/models/{name}", { params: { path: { name } } })),
    onSuccess: onDone,
  });
}

export function useDeleteRevision(name: string, digest: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () =>
      expectData(
        await api.DELETE("/api/v1/models/{name}/revisions/{digest}", { params: { path: { name, digest } } }),
      ),
    onSuccess: onDone,
  });
}

/** Bytes that nobody needs: counted by a dry run, freed by one that is none. */
export function useGarbage() {
  return useMutation({
    mutationFn: async (dryRun: boolean) =>
      expectData(await api.POST("/api/v1/library/gc", { params: { query: { dry_run: dryRun } } })),
  });
}
