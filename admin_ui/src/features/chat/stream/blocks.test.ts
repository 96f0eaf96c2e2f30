import { describe, expect, it } from "vitest";

import { splitBlocks } from "./blocks";

const TEXT = [
  "# Title",
  "",
  "A paragraph",
  "of two lines.",
  "",
  "1. one",
  "",
  "   still one",
  "",
  "2. two",
  "   ```js",
  "   let a;",
  "",
  "   let b;",
  "   ```",
  "",
  "```python",
  "def f():",
  "",
  "    return '```'",
  "```",
  "After.",
  "",
  "$$",
  "x",
  "",
  "y",
  "$$",
  "",
  "| a | b |",
  "| - | - |",
  "| 1 | 2 |",
].join("\n");

describe("splitBlocks", () => {
  it("cuts at empty lines and around fences", () =>
    expect(splitBlocks(TEXT).map((block) => [block.kind, block.text])).toEqual([
      ["prose", "# Title"],
      ["prose", "A paragraph\nof two lines."],
      ["prose", "1. one\n\n   still one"],
      ["prose", "2. two\n   ```js\n   let a;\n\n   let b;\n   ```"],
      ["code", "def f():\n\n    return '```'"],
      ["prose", "After."],
      ["prose", "$$\nx\n\ny\n$$"],
      ["prose", "| a | b |\n| - | - |\n| 1 | 2 |"],
    ]));

  it("leaves all but the last two blocks as they are while the text grows", () => {
    const whole = splitBlocks(TEXT);
    for (let end = 0; end <= TEXT.length; end += 1) {
      const settled = splitBlocks(TEXT.slice(0, end)).slice(0, -2);
      expect(settled).toEqual(whole.slice(0, settled.length));
    }
  });

  it("knows the language, and that a fence is open still", () => {
    expect(splitBlocks("~~~~ Rust\nfn")).toEqual([{ kind: "code", text: "fn", language: "Rust", open: true }]);
    expect(splitBlocks("```\na\n```")).toEqual([{ kind: "code", text: "a", language: "", open: false }]);
  });

  it("keeps a text with reference links in one piece", () =>
    expect(splitBlocks("See [a].\n\nMore.\n\n[a]: https://example.org")).toHaveLength(1));

  it("cuts nothing out of plain text", () => {
    const plain = "a\n\nb\n\n\nc";
    expect(splitBlocks(plain).map((block) => block.text)).toEqual(["a", "b", "c"]);
    expect(splitBlocks("")).toEqual([]);
  });
});
