/** The library that comes with the page, in its language, and a person's own templates. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import type { TemplateBody } from "@/api/types";

import { addTemplates, fetchTemplates, putTemplate, removeTemplate } from "../state/api";

export type Category = TemplateBody["category"];
export const CATEGORIES: Category[] = ["writing", "programming", "study", "office"];

export interface Template extends TemplateBody {
  id: string;
  /** It can be changed. */
  own: boolean;
}

const OWN_KEY = ["templates"] as const;

export function useLibrary() {
  const chinese = useTranslation().i18n.language.startsWith("zh");
  return useQuery({
    queryKey: ["templates", "library", chinese],
    queryFn: async (): Promise<Template[]> => {
      const { default: read } = await (chinese ? import("./library.zh.json") : import("./library.en.json"));
      return (read as (TemplateBody & { id: string })[]).map((each) => ({ ...each, own: false }));
    },
  });
}

export function useOwn() {
  return useQuery({
    queryKey: OWN_KEY,
    queryFn: async (): Promise<Template[]> => (await fetchTemplates()).map((each) => ({ ...each, own: true })),
  });
}

function useChanged<Change>(change: (wanted: Change) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: change, onSuccess: () => client.invalidateQueries({ queryKey: OWN_KEY, exact: true }) });
}

/** Keeps a new one, or another text of one that is there. */
export const useSaveTemplate = () =>
  useChanged(({ id, body }: { id: string | null; body: TemplateBody }) =>
    id === null ? addTemplates([body]) : putTemplate(id, body),
  );

export const useAddTemplates = () => useChanged(addTemplates);
export const useDeleteTemplate = () => useChanged(removeTemplate);
