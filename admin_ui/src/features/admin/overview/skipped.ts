/** That this browser's user wants to see no first steps. */
import { create } from "zustand";

const STORAGE_KEY = "roundhouse.first-steps";

function read(): boolean {
  try {
    return localStorage.getItem(STORAGE_KEY) === "skipped";
  } catch {
    return false;
  }
}

export const useSkipped = create<{ skipped: boolean }>(() => ({ skipped: read() }));

export function skipFirstSteps(): void {
  useSkipped.setState({ skipped: true });
  try {
    localStorage.setItem(STORAGE_KEY, "skipped");
  } catch {
    // Storage is switched off: they are back after a reload.
  }
}
