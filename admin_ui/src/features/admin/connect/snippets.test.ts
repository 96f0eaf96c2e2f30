import { describe, expect, it } from "vitest";

import { isLocal, snippetsOf } from "./snippets";

const URL_OF = "https://models.example/v1";

describe("snippetsOf", () => {
  const snippets = snippetsOf(URL_OF, "qwen3", 32768);

  it("names the endpoint in each, and the model in all but the one that asks for it itself", () => {
    for (const { text } of snippets) expect(text).toContain(URL_OF);
    expect(snippets.filter(({ text }) => !text.includes("qwen3")).map(({ id }) => id)).toEqual(["openWebui"]);
  });

  it("holds no key, only the name of the variable that has it", () => {
    for (const { id, text } of snippets) {
      expect(text).not.toMatch(/rh-|sk-/);
      if (id !== "cursor" && id !== "zed") expect(text).toContain("ROUNDHOUSE_API_KEY");
    }
  });

  it("gives JSON and shell that can be read", () => {
    const zed = snippets.find(({ id }) => id === "zed")?.text ?? "";
    expect(JSON.parse(zed).language_models.openai_compatible.Roundhouse.available_models).toEqual([
      { name: "qwen3", max_tokens: 32768 },
    ]);
    const body = /-d '([^']*)'/.exec(snippets.find(({ id }) => id === "curl")?.text ?? "")?.[1] ?? "";
    expect(JSON.parse(body).model).toBe("qwen3");
  });
});

describe("isLocal", () => {
  it.each([
    ["http://127.0.0.1:8000/v1", true],
    ["http://localhost:8000/v1", true],
    ["http://[::1]:8000/v1", true],
    ["http://10.0.0.5:8000/v1", false],
    [URL_OF, false],
  ])("of %s is %s", (url, local) => expect(isLocal(url)).toBe(local));
});
