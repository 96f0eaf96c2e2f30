/** Who is logged in. `null` means nobody, `undefined` means not known yet. */
import { useMutation, useQuery } from "@tanstack/react-query";

import { api, expectData, SESSION_KEY } from "./client";
import { queryClient } from "./queryClient";
import type { SessionView } from "./types";

async function readSession(): Promise<SessionView | null> {
  const answer = await api.GET("/api/v1/session");
  return answer.response.status === 401 ? null : expectData(answer);
}

export function useSession() {
  return useQuery({ queryKey: SESSION_KEY, queryFn: readSession });
}

export type Proof = { token: string } | { key: string };

const exchanges = new Map<string, Promise<SessionView>>();

/** A one-time token is sent once, however often the page asks (React mounts twice in development). */
export function exchangeOnce(proof: Proof): Promise<SessionView> {
  const id = JSON.stringify(proof);
  const running = exchanges.get(id);
  if (running) return running;
  const exchange = api.POST("/api/v1/session", { body: proof }).then(expectData);
  exchanges.set(id, exchange);
  void exchange.catch(() => "key" in proof && exchanges.delete(id));
  return exchange;
}

export function useLogin() {
  return useMutation({
    mutationFn: exchangeOnce,
    onSuccess: async (session) => {
      exchanges.clear();
      await become(session);
    },
  });
}

export function useLogout() {
  return useMutation({
    mutationFn: async () => expectData(await api.DELETE("/api/v1/session")),
    onSettled: () => become(null),
  });
}

/** Another person: nothing that the one before could see stays in memory. */
async function become(session: SessionView | null): Promise<void> {
  // A question asked before the change must not be answered after it.
  await queryClient.cancelQueries({ queryKey: SESSION_KEY });
  queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION_KEY[0] });
  queryClient.setQueryData(SESSION_KEY, session);
}
