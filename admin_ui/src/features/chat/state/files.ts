/** Lists in JSON files that a person chose or gets. */

/**
 * What stands in the file: a list, the list under `name`, or the one thing that it is. null: no JSON of that kind.
 * Nothing of it is trusted: the server judges each item.
 */
export async function listOfFile(file: Blob, name: string): Promise<unknown[] | null> {
  let read: unknown;
  try {
    read = JSON.parse(await file.text());
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const inside = (read as Record<string, unknown>)[name];
  return Array.isArray(read) ? read : Array.isArray(inside) ? inside : [read];
}

/** Hands `content` to the browser as a file of JSON. */
export function saveAsJson(fileName: string, content: unknown): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  URL.revokeObjectURL(url);
}
