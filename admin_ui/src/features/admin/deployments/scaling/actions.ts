import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";
import type { ScaleBody } from "@/api/types";

const RENEW_MS = 2_000;

const query = (name: string) => ({
  queryKey: ["scaling", name],
  queryFn: async () => expectData(await api.GET("/api/v1/deployments/{name}/scaling", { params: { path: { name } } })),
  // Not among the events: what was read for another page or panel is old.
  staleTime: 0,
});

/** Why there are so many replicas; asked for again while it is on screen. */
export const useScaling = (name: string) => useQuery({ ...query(name), refetchInterval: RENEW_MS });

/** When a deployment that sleeps fell asleep, in Unix seconds. */
export const useSleepSince = (name: string) =>
  useQuery(query(name)).data?.records.findLast((each) => each.granted === 0)?.at;

/** Set the number by hand, or let the load decide again. The events bring what came of it. */
export function useScale(name: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (body: Partial<ScaleBody>) =>
      expectData(
        await api.POST("/api/v1/deployments/{name}/scale", {
          params: { path: { name } },
          body: { auto: false, ...body },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["scaling", name] }),
  });
}
