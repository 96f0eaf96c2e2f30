import { useMutation, useQuery } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";
import { queryClient } from "@/api/queryClient";
import type { KeyCreate } from "@/api/types";

const KEYS = ["keys"];
const reload = () => queryClient.invalidateQueries({ queryKey: KEYS });

/** Keys are not among the events, and their use grows all the time: read again every 5 s. */
export const useKeys = () =>
  useQuery({
    queryKey: KEYS,
    queryFn: async () => expectData(await api.GET("/api/v1/keys")),
    staleTime: 0,
    refetchInterval: 5_000,
  });

export function useCreateKey() {
  return useMutation({
    mutationFn: async (body: Pick<KeyCreate, "name" | "role">) =>
      // Fields with a default may be left out; the generated type asks for all of them.
      expectData(await api.POST("/api/v1/keys", { body: body as KeyCreate })),
    onSuccess: reload,
    // The secret stays in memory for as long as it is shown.
    gcTime: 0,
  });
}

export function useRevokeKey(id: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () =>
      expectData(await api.DELETE("/api/v1/keys/{id_or_name}", { params: { path: { id_or_name: id } } })),
    onSuccess: async () => {
      await reload();
      onDone();
    },
  });
}
