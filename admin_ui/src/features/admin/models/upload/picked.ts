/** What somebody chose to upload: a folder's files, or one archive. PURE. */

/** A file as the browser gives it; a `File` is one. */
export interface Content {
  readonly name: string;
  readonly size: number;
  /** Unix milliseconds. */
  readonly lastModified: number;
}

export interface PickedFile<C extends Content = File> {
  /** Relative to the model's folder, with "/" between its parts. */
  path: string;
  content: C;
}

export interface Picked<C extends Content = File> {
  /** Of the folder, or of the archive without its ending; "" where there is none. */
  name: string;
  files: PickedFile<C>[];
  /** Paths with a part that begins with a dot: .git, .cache, .DS_Store. */
  leftOut: string[];
  totalBytes: number;
}

const ARCHIVE = /\.(tar|tar\.gz|tgz|zip)$/i;

/** `files` by their paths below the folder `name`; or one archive, whose name then says what it is. */
export function pick<C extends Content>(name: string, files: PickedFile<C>[]): Picked<C> {
  const wanted = files.filter(({ path }) => !hasDotName(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  const archive = isArchive(wanted) ? wanted[0] : undefined;
  return {
    name: modelNameOf(archive ? archive.path.replace(ARCHIVE, "") : name),
    files: wanted,
    leftOut: files.filter(({ path }) => hasDotName(path)).map(({ path }) => path).sort(),
    totalBytes: wanted.reduce((sum, { content }) => sum + content.size, 0),
  };
}

/** "my-model/config.json" → ["my-model", "config.json"]; a file without a folder has "" for it. */
export function splitRoot(path: string): [root: string, rest: string] {
  const at = path.indexOf("/");
  return at < 0 ? ["", path] : [path.slice(0, at), path.slice(at + 1)];
}

export function isArchive(files: readonly { path: string }[]): boolean {
  return files.length === 1 && ARCHIVE.test(files[0]?.path ?? "");
}

/** A folder of which a model can hardly be made: perhaps the one above or below was meant. */
export function lacksConfig(files: readonly { path: string }[]): boolean {
  return !isArchive(files) && files.every(({ path }) => path !== "config.json" && !path.endsWith(".gguf"));
}

/** What the library takes for a name, made of a file name. */
export function modelNameOf(text: string): string {
  return text.trim().replace(/[^A-Za-z0-9._:@-]+/g, "-").replace(/^[^A-Za-z0-9]+|-+$/g, "").slice(0, 128);
}

export function isModelName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/.test(text);
}

function hasDotName(path: string): boolean {
  return path.split("/").some((part) => part.startsWith("."));
}
