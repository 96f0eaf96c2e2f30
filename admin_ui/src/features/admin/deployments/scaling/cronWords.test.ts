import { describe, expect, it } from "vitest";

import { cronWords } from "./cronWords";

describe("cronWords", () => {
  it("says when, in the language of the page", () => {
    expect(cronWords(" 0 8 * * 1-5 ", "en")).toBe("At 08:00, Monday through Friday");
    expect(cronWords("0 8 * * 1-5", "zh-CN")).toBe("在08:00，星期一至星期五");
  });
  it.each(["", "8:00", "0 25 * * *", "@daily", "0 0 8 * * 1", "0 8 * * nosuchday"])("does not take %j", (cron) =>
    expect(cronWords(cron, "en")).toBeNull(),
  );
});
