import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";

const params = (id: string) => ({ params: { path: { replica_id: id } } });

/** Nothing is written to the cache here: the events bring what came of it. */
export function useCordon() {
  return useMutation({
    mutationFn: async ({ id, cordoned }: { id: string; cordoned: boolean }) =>
      expectData(
        cordoned
          ? await api.POST("/api/v1/replicas/{replica_id}/cordon", params(id))
          : await api.POST("/api/v1/replicas/{replica_id}/uncordon", params(id)),
      ),
  });
}

export function useRestart(id: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () => expectData(await api.POST("/api/v1/replicas/{replica_id}/restart", params(id))),
    onSuccess: onDone,
  });
}
