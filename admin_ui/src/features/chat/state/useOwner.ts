/** Chats in memory belong to whoever is signed in; they are sent before the page is left. */
import { useEffect, useLayoutEffect } from "react";

import { useSession } from "@/api/session";

import { keepNow } from "./saving";
import { forgetEverything } from "./store";

let owner: string | undefined;

export function useOwner(): void {
  const identity = useSession().data?.csrf_token;
  // Before anything is painted: the one before is not seen for a moment.
  useLayoutEffect(() => {
    if (identity === undefined || identity === owner) return;
    if (owner !== undefined) forgetEverything();
    owner = identity;
  }, [identity]);
  useEffect(() => {
    const leave = () => document.hidden && keepNow();
    document.addEventListener("visibilitychange", leave);
    return () => document.removeEventListener("visibilitychange", leave);
  }, []);
}
