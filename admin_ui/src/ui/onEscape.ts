import type { KeyboardEvent } from "react";

/** Acts on Escape unless something inside or an input method has, and keeps it from what is around. */
export const onEscape = (act: () => unknown) => (event: KeyboardEvent) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.nativeEvent.isComposing) return;
  event.preventDefault();
  act();
};
