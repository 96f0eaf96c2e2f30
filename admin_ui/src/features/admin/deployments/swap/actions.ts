import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";
import type { SwapBody } from "@/api/types";

/** Nothing is written to the cache here: the events bring what came of it. */
export function useSwap(name: string) {
  return useMutation({
    mutationFn: async (body: SwapBody) =>
      expectData(await api.POST("/api/v1/deployments/{name}/swap", { params: { path: { name } }, body })),
  });
}

export function useRollback(name: string) {
  return useMutation({
    mutationFn: async () =>
      expectData(await api.POST("/api/v1/deployments/{name}/rollback", { params: { path: { name } } })),
  });
}
