import { expect, it } from "vitest";

import { separateThought } from "./thought";

it.each([
  [{ content: "Yes.", reasoning: "" }, { content: "Yes.", reasoning: "" }],
  [{ content: "<think>\nhm\n</think>\n\nYes.", reasoning: "" }, { content: "Yes.", reasoning: "hm" }],
  [{ content: "\n<think>still", reasoning: "" }, { content: "", reasoning: "still" }],
  [{ content: "say <think> aloud", reasoning: "r" }, { content: "say <think> aloud", reasoning: "r" }],
])("separates %j", (said, parts) => expect(separateThought(said)).toEqual(parts));
