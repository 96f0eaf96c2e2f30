import { useEffect, useRef } from "react";

/** For what takes the focus as it appears, and gives it back. */
export function useTakenFocus<Place extends HTMLElement>() {
  const place = useRef<Place>(null);
  useEffect(() => {
    const before = document.activeElement;
    place.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return place;
}
