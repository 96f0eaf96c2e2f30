/** Sends the files of one upload, some at once. How one file is sent is given, and so is who wants to know. PURE. */
import type { UploadFileView } from "@/api/types";

export const FILES_AT_ONCE = 3;

/** Resolves when the file has arrived; rejects when it cannot, or with the signal's reason. */
export type SendFile = (file: UploadFileView, tell: (offset: number) => void, signal: AbortSignal) => Promise<void>;

export interface Listener {
  /** Where a file is, in bytes. Called often. */
  onOffset: (path: string, offset: number) => void;
  onBegin: (path: string) => void;
  onEnd: (path: string) => void;
}

/** Large files first, so that none of them is left over to go alone at the end. */
export function orderOf(files: readonly UploadFileView[]): UploadFileView[] {
  return files.filter((file) => !file.present).sort((a, b) => b.size_bytes - a.size_bytes);
}

/** Resolves when all of `files` have arrived. When one fails the others are stopped too; what arrived stays there. */
export async function transmit(
  files: readonly UploadFileView[],
  send: SendFile,
  listener: Listener,
  signal: AbortSignal,
): Promise<void> {
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const waiting = orderOf(files);
  const lane = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      either.throwIfAborted();
      const { path } = file;
      listener.onBegin(path);
      await send(file, (offset) => listener.onOffset(path, offset), either);
      listener.onOffset(path, file.size_bytes);
      listener.onEnd(path);
    }
  };
  try {
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
  } catch (error) {
    failing.abort(error);
    throw error;
  }
}
