import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";

export type Mark = "cordon" | "drain" | "uncordon";

/** Nothing is written to the cache here: the events bring what came of it. */
export function useMarkNode(onDone: () => void = () => {}) {
  return useMutation({
    mutationFn: async ({ address, mark }: { address: string; mark: Mark }) =>
      expectData(await api.POST(`/api/v1/nodes/{address}/${mark}`, { params: { path: { address } } })),
    onSuccess: onDone,
  });
}
