import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { fill, matches, variablesOf } from "./fill";

describe("fill", () => {
  it("knows each variable once", () => expect(variablesOf("{{a}} {{ b c }} {{a}} {{}} {d}")).toEqual(["a", "b c"]));
  it("puts values in as they are", () =>
    expect(fill("{{a}} and {{b}}", { a: "$& {{b}} <b>", b: " " })).toBe("$& {{b}} <b> and {{b}}"));
  it("takes no value from the prototype", () => expect(fill("{{constructor}}", {})).toBe("{{constructor}}"));
  it("is found by its words", () => {
    expect(matches({ title: "Review", text: "code" }, "rev")).toBe(true);
    expect(matches({ title: "Review", text: "code" }, "salt")).toBe(false);
  });
});

type Entry = { id: string; category: string; title: string; text: string };
const read = (language: string): Entry[] =>
  JSON.parse(readFileSync(join(import.meta.dirname, `library.${language}.json`), "utf8")) as Entry[];

describe("the library", () => {
  const [english, chinese] = [read("en"), read("zh")];
  it("has the same templates with as many variables in both languages", () =>
    expect(chinese.map(({ id, category, text }) => [id, category, variablesOf(text).length])).toEqual(
      english.map(({ id, category, text }) => [id, category, variablesOf(text).length]),
    ));
  it.each(["writing", "programming", "study", "office"])("has at least six for %s, each with something to fill in", (category) => {
    const own = english.filter((each) => each.category === category);
    expect(own.length).toBeGreaterThanOrEqual(6);
    expect(own.every(({ text }) => variablesOf(text).length > 0)).toBe(true);
  });
});
