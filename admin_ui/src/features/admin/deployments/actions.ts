import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";

import { bodyOf, nameOf, type DeployForm } from "./deployForm";

/** Nothing is written to the cache here: the events bring what came of it. */
export function useDeploy(onDone: () => void) {
  return useMutation({
    mutationFn: async (form: DeployForm) =>
      expectData(
        await api.PUT("/api/v1/deployments/{name}", {
          params: { path: { name: nameOf(form) } },
          // Fields with a default may be left out; the generated type asks for all of them.
          body: bodyOf(form) as Required<ReturnType<typeof bodyOf>>,
        }),
      ),
    onSuccess: onDone,
  });
}

export function useUndeploy(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () => expectData(await api.DELETE("/api/v1/deployments/{name}", { params: { path: { name } } })),
    onSuccess: onDone,
  });
}
