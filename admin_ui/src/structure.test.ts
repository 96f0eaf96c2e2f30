/** The rules of this folder, held by a test: who may import whom, and how long a component may be. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { expect, it } from "vitest";

const SRC = import.meta.dirname;
const MAX_COMPONENT_LINES = 200;
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => /\.tsx?$/.test(path) && !path.startsWith("api/generated") && !path.endsWith(".test.ts"))
  .map((path) => ({ path, text: readFileSync(join(SRC, path), "utf8") }));

/** "features/chat", "features/admin/models", "ui" … */
function roomOf(path: string): string {
  const [top = "", feature = "", noun = "", rest] = path.split("/");
  if (top !== "features") return top;
  return feature === "admin" && rest ? `features/admin/${noun}` : `features/${feature}`;
}

const imports = files.flatMap(({ path, text }) =>
  [...text.matchAll(/(?:from|import\() ?"(@\/|\.{1,2}\/)([^"]+)"/g)].map(([, start = "", rest = ""]) => ({
    from: path,
    to: start === "@/" ? rest : relative(SRC, normalize(join(SRC, dirname(path), start + rest))),
  })),
);

it("features do not import each other", () => {
  const crossed = imports.filter(({ from, to }) => {
    const [here, there] = [roomOf(from), roomOf(to)];
    // The admin shell knows its nouns, and nouns know what the shell shares.
    const family = here === "features/admin" || there === "features/admin";
    return here.startsWith("features/") && there.startsWith("features/") && here !== there &&
      !(family && here.startsWith("features/admin") && there.startsWith("features/admin"));
  });
  expect(crossed).toEqual([]);
});

it("what is shared does not know the features", () => {
  const up = imports.filter(({ from, to }) => /^(ui|api|i18n)\//.test(from) && /^(features|app)\//.test(to));
  expect(up).toEqual([]);
});

it("no component is longer than 200 lines", () => {
  const long = files.filter(({ path, text }) => path.endsWith(".tsx") && text.split("\n").length > MAX_COMPONENT_LINES);
  expect(long.map(({ path }) => path)).toEqual([]);
});

it("no secret goes into the browser's storage", () => {
  const writers = files.filter(({ text }) => /(local|session)Storage\.setItem/.test(text)).map(({ path }) => path);
  expect(writers.sort()).toEqual(["features/admin/overview/skipped.ts", "i18n/index.ts"]);
});
