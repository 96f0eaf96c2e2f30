import { useEffect, useState } from "react";

import { api, expectData } from "@/api/client";
import { toFailure, type Failure } from "@/api/errors";
import type { LogView } from "@/api/types";

import { appended, type NumberedLine } from "./lines";

const RETRY_MS = 2_000;

export interface FollowedLog {
  lines: readonly NumberedLine[];
  /** The replica is gone. */
  ended: boolean;
  /** It cannot be read now, and is tried again. */
  lost: boolean;
  failure: Failure | null;
}

const NOTHING: FollowedLog = { lines: [], ended: false, lost: false, failure: null };

/** The log of a replica, followed while mounted; after an interruption it goes on from where it was. */
export function useLog(id: string): FollowedLog {
  const [log, setLog] = useState(NOTHING);
  useEffect(() => {
    setLog(NOTHING);
    let position = "";
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (change: Partial<FollowedLog>) => {
      source?.close();
      setLog((old) => ({ ...old, lost: false, ...change }));
    };
    const open = () => {
      source = new EventSource(`/api/v1/replicas/${encodeURIComponent(id)}/log/stream?after=${encodeURIComponent(position)}`);
      source.addEventListener("log", (event: MessageEvent<string>) => {
        const part = JSON.parse(event.data) as LogView;
        position = part.position;
        setLog((old) => ({ ...old, lost: false, lines: appended(old.lines, part.lines) }));
      });
      source.addEventListener("ended", () => end({ ended: true }));
      // The browser would begin at its first position again, so going on is ours to do. And it does not say why.
      source.onerror = () => {
        source?.close();
        setLog((old) => ({ ...old, lost: true }));
        timer = setTimeout(() => void again(), RETRY_MS);
      };
    };
    const again = async () => {
      const path = { replica_id: id };
      try {
        expectData(await api.GET("/api/v1/replicas/{replica_id}/log", { params: { path, query: { after: position } } }));
        open();
      } catch (error) {
        const failure = toFailure(error);
        if (failure.status === 404) end(position ? { ended: true } : { failure });
        else timer = setTimeout(() => void again(), RETRY_MS);
      }
    };
    open();
    return () => {
      clearTimeout(timer);
      source?.close();
    };
  }, [id]);
  return log;
}
