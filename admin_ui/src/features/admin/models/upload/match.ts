/** Whether files that were picked are those of an upload that was begun before. PURE. */
import type { UploadFileView, UploadView } from "@/api/types";

import type { Content, PickedFile } from "./picked";

type Declared = Pick<UploadFileView, "path" | "size_bytes">;

export interface Difference {
  /** Declared, and not among the picked. */
  missing: string[];
  otherSize: string[];
  /** Picked, and not declared. */
  unknown: string[];
}

export function differenceOf(declared: readonly Declared[], picked: readonly PickedFile<Content>[]): Difference {
  const sizes = new Map(picked.map(({ path, content }) => [path, content.size]));
  const known = new Set(declared.map(({ path }) => path));
  return {
    missing: declared.filter(({ path }) => !sizes.has(path)).map(({ path }) => path),
    otherSize: declared
      .filter(({ path, size_bytes }) => sizes.has(path) && sizes.get(path) !== size_bytes)
      .map(({ path }) => path),
    unknown: picked.filter(({ path }) => !known.has(path)).map(({ path }) => path),
  };
}

/** The upload that goes on with these very files; of several the newest, of which `sessions` has the first place. */
export function matchUpload(
  sessions: readonly UploadView[],
  picked: readonly PickedFile<Content>[],
): UploadView | undefined {
  return sessions.find((each) => each.state === "receiving" && isSame(differenceOf(each.files, picked)));
}

export function isSame({ missing, otherSize, unknown }: Difference): boolean {
  return missing.length + otherSize.length + unknown.length === 0;
}

/**
 * Whether what was sent of a file must be sent again: it was written to after the upload began, and so its beginning
 * there and its end here would be of two different files.
 */
export function isOutdated(
  file: Pick<UploadFileView, "offset" | "present">,
  content: Content,
  begunAtS: number,
): boolean {
  return (file.present || file.offset > 0) && content.lastModified / 1000 > begunAtS;
}
