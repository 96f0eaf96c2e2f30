/** A panel that is part of the address: it can be linked to, and Back closes it. */
import { useSearchParams } from "react-router";

export interface Panel {
  isOpen: boolean;
  /** What it was opened with; "" for nothing. */
  value: string;
  open: () => void;
  openWith: (value: string) => void;
  close: () => void;
}

export function usePanel(name: string): Panel {
  const [params, setParams] = useSearchParams();
  return {
    isOpen: params.has(name),
    value: params.get(name) ?? "",
    open: () => setParams({ [name]: "" }),
    openWith: (value) => setParams({ [name]: value }),
    close: () => setParams({}),
  };
}
