import { useMutation } from "@tanstack/react-query";

import { api, expectData } from "@/api/client";

import { aliasBodyOf, type AliasForm } from "./aliasForm";

/** Nothing is written to the cache here: the events bring what came of it. */
export function usePutAlias(onDone: () => void) {
  return useMutation({
    mutationFn: async (form: AliasForm) =>
      expectData(
        await api.PUT("/api/v1/aliases/{name}", {
          params: { path: { name: form.name.trim() } },
          body: aliasBodyOf(form),
        }),
      ),
    onSuccess: onDone,
  });
}

export function useDeleteAlias(name: string, onDone: () => void) {
  return useMutation({
    mutationFn: async () => expectData(await api.DELETE("/api/v1/aliases/{name}", { params: { path: { name } } })),
    onSuccess: onDone,
  });
}
