import { describe, expect, it } from "vitest";

import { hasMath, toMath } from "./math";

describe("toMath", () => {
  it.each([
    ["\\(a+b\\) is", "$$a+b$$ is"],
    ["so $x_1$.", "so $$x_1$$."],
    ["\\[ a\n= b \\]", "\n$$\na\n= b\n$$\n"],
    ["$$a$$", "\n$$\na\n$$\n"],
    ["inline $$a$$ here", "inline $$a$$ here"],
  ])("reads %j", (text, math) => expect(toMath(text)).toBe(math));

  it.each(["costs $5 and $10", "US$5, A$6", "`$x$`", "```sh\necho $HOME and $PATH\n```", "\\$5$", "$ a $", "a $b"])(
    "leaves %j alone",
    (text) => {
      expect(toMath(text)).toBe(text);
      expect(hasMath(text)).toBe(false);
    },
  );
});
