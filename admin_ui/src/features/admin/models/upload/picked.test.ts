import { describe, expect, it } from "vitest";

import { isArchive, lacksConfig, modelNameOf, pick, splitRoot } from "./picked";

const file = (path: string, size = 1) => ({ path, content: { name: path, size, lastModified: 0 } });

describe("pick", () => {
  it("leaves out what has a name with a dot in front anywhere in its path, and says so", () => {
    const picked = pick("tiny", [
      file(".git/config"),
      file("model.safetensors", 5),
      file("config.json", 2),
      file("sub/.cache/x"),
      file(".DS_Store"),
      file("a.b/c.json", 3),
    ]);
    expect(picked.files.map(({ path }) => path)).toEqual(["a.b/c.json", "config.json", "model.safetensors"]);
    expect(picked.leftOut).toEqual([".DS_Store", ".git/config", "sub/.cache/x"]);
    expect(picked.totalBytes).toBe(10);
    expect(picked.name).toBe("tiny");
  });
  it.each(["m.tar", "m.tar.gz", "M.TGZ", "m.zip"])("names a model after its archive %s", (path) => {
    const picked = pick("", [file(path)]);
    expect(isArchive(picked.files)).toBe(true);
    expect(picked.name.toLowerCase()).toBe("m");
  });
  it("has nothing to send of a folder with nothing but dot names", () =>
    expect(pick("x", [file(".git/HEAD")])).toMatchObject({ files: [], totalBytes: 0, leftOut: [".git/HEAD"] }));
});

it.each([
  ["my model (v2)", "my-model-v2"],
  ["_private", "private"],
  ["模型", ""],
  ["Qwen3-0.6B", "Qwen3-0.6B"],
])("%s becomes the name %s", (text, name) => expect(modelNameOf(text)).toBe(name));

it.each([
  ["tiny/sub/config.json", ["tiny", "sub/config.json"]],
  ["config.json", ["", "config.json"]],
  ["/config.json", ["", "config.json"]],
])("%s is split below its folder", (path, parts) => expect(splitRoot(path)).toEqual(parts));

it("misses config.json where it is not at the top, and not in archives or beside GGUF", () => {
  expect(lacksConfig([file("sub/config.json")])).toBe(true);
  expect(lacksConfig([file("config.json"), file("x")])).toBe(false);
  expect(lacksConfig([file("m.tar")])).toBe(false);
  expect(lacksConfig([file("m.gguf")])).toBe(false);
});
