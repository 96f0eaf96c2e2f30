import { skipToken, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, expectData } from "@/api/client";

export const HUBS = { hf: "Hugging Face", modelscope: "ModelScope" } as const;
export type Hub = keyof typeof HUBS;

interface Question {
  hub: Hub;
  words: string;
}

/** Asks a hub only when told to, and once more when told so again. */
export function useHubSearch() {
  const [asked, setAsked] = useState<Question | null>(null);
  const found = useQuery({
    queryKey: ["hub", asked],
    retry: false,
    gcTime: 0,
    queryFn: asked
      ? async ({ signal }) =>
          expectData(
            await api.GET("/api/v1/hubs/{hub}/models", {
              params: { path: { hub: asked.hub }, query: { query: asked.words } },
              signal,
            }),
          )
      : skipToken,
  });
  const ask = (question: Question) => {
    const isSame = asked?.hub === question.hub && asked.words === question.words;
    if (isSame) void found.refetch();
    else setAsked(question);
  };
  return { asked, found, ask };
}
