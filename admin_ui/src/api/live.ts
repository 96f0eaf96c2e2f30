/** Server-sent events → query cache. Every event is a whole list, so a lost one costs nothing. */
import { useEffect } from "react";
import { create } from "zustand";

import { refreshSession } from "./client";
import { queryClient } from "./queryClient";

const LISTS = ["catalog", "models", "uploads", "deployments", "swaps", "aliases", "replicas", "nodes", "problems"] as const;
const RETRY_MS = 2_000;

interface LiveState {
  /** False from the moment the stream breaks until the next one opens. */
  connected: boolean;
}

export const useLive = create<LiveState>(() => ({ connected: true }));

/** Keep the lists live while mounted. `identity` changes with the session: another stream then. */
export function useLiveLists(identity: string): void {
  useEffect(() => {
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      source = new EventSource("/api/v1/events");
      source.onopen = () => useLive.setState({ connected: true });
      source.onerror = () => {
        useLive.setState({ connected: false });
        // The browser reconnects after a lost connection, but not after an HTTP error.
        if (source?.readyState !== EventSource.CLOSED) return;
        void refreshSession();
        timer = setTimeout(open, RETRY_MS);
      };
      for (const name of LISTS) {
        source.addEventListener(name, (event: MessageEvent<string>) => void receive(name, event.data));
      }
    };
    open();
    return () => {
      clearTimeout(timer);
      source?.close();
    };
  }, [identity]);
}

async function receive(name: (typeof LISTS)[number], data: string): Promise<void> {
  // An older answer to the first fetch must not overwrite what the event says.
  await queryClient.cancelQueries({ queryKey: [name] });
  queryClient.setQueryData([name], JSON.parse(data));
}
