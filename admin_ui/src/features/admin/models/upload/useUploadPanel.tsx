import { useState, type ReactNode } from "react";

import { usePanel } from "../../usePanel";
import { DropArea } from "./DropArea";
import type { Picked } from "./picked";
import { UploadPanel } from "./UploadPanel";

interface UploadPanelState {
  panel: ReactNode;
  open: () => void;
  /** For an upload that was begun before. */
  chooseFiles: (id: string) => void;
  /** Takes what is dropped onto the page. */
  withDrop: (page: ReactNode) => ReactNode;
}

/** The upload panel of a page, opened by a button or by a drop. `model` is who gets a new revision; "" for any. */
export function useUploadPanel(model: string): UploadPanelState {
  const { isOpen, value, open, openWith, close } = usePanel("upload");
  const [picked, setPicked] = useState<Picked | null>(null);
  const done = () => {
    setPicked(null);
    close();
  };
  const take = (files: Picked) => {
    setPicked(files);
    if (!isOpen) open();
  };
  return {
    panel: isOpen && (
      <UploadPanel key={value} model={model} uploadId={value} picked={picked} onPicked={setPicked} onClose={done} />
    ),
    open,
    chooseFiles: openWith,
    withDrop: (page) => <DropArea onPicked={take}>{page}</DropArea>,
  };
}
