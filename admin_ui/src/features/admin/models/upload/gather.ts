/** From what the browser gives - a file field, things that were dropped - to paths and files. */
import { pick, splitRoot, type Picked, type PickedFile } from "./picked";

/** Of `<input type="file">`, with `webkitdirectory` or without. */
export function pickedOfField(list: FileList): Picked {
  const files = [...list];
  const [root] = splitRoot(files[0]?.webkitRelativePath ?? "");
  return pick(
    root,
    files.map((content) => ({ path: splitRoot(content.webkitRelativePath || `/${content.name}`)[1], content })),
  );
}

/** Of a drop. Call it within the event: afterwards the browser has forgotten what was dropped. */
export async function pickedOfDrop(data: DataTransfer): Promise<Picked> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const [only] = entries;
  if (entries.length === 1 && only?.isDirectory) return pick(only.name, await filesBelow(only, ""));
  return pick("", (await Promise.all(entries.map((entry) => filesAt(entry, entry.name)))).flat());
}

async function filesAt(entry: FileSystemEntry, path: string): Promise<PickedFile[]> {
  if (entry.isDirectory) return filesBelow(entry, `${path}/`);
  const content = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
  return [{ path, content }];
}

async function filesBelow(folder: FileSystemEntry, prefix: string): Promise<PickedFile[]> {
  const reader = (folder as FileSystemDirectoryEntry).createReader();
  const found: PickedFile[] = [];
  for (;;) {
    // A folder is read some hundred entries at a time; nothing more is its end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const entry of entries) found.push(...(await filesAt(entry, prefix + entry.name)));
  }
}
