import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";

export function useImport(onDone: () => void) {
  return useMutation({
    mutationFn: async ({ source, name }: { source: string; name: string }) =>
      expectData(await api.POST("/api/v1/models", { body: { source, ...(name ? { name } : {}) } })),
    onSuccess: onDone,
  });
}

export function useDeleteModel(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () => expectData(await api.DELETE("/api/v1/models/{name}", { params: { path: { name } } })),
    onSuccess: onDone,
  });
}
