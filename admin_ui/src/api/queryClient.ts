import { QueryClient } from "@tanstack/react-query";

/**
 * Live lists are pushed by server-sent events (`live.ts`), so nothing is refetched by age or focus.
 */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { staleTime: Infinity, refetchOnWindowFocus: false, refetchOnReconnect: false, retry: 1 },
  },
});
