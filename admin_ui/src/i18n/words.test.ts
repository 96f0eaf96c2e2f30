import { expect, it } from "vitest";

import { en } from "./en";
import * as enAdmin from "./enAdmin";
import * as enChat from "./enChat";
import * as enCluster from "./enCluster";
import * as enOverview from "./enOverview";
import * as enScaling from "./enScaling";
import { zh } from "./zh";
import * as zhAdmin from "./zhAdmin";
import * as zhChat from "./zhChat";
import * as zhCluster from "./zhCluster";
import * as zhOverview from "./zhOverview";
import * as zhScaling from "./zhScaling";

/** What each entry asks for beside its words, by its path. */
function asked(words: object, path = ""): [string, string[]][] {
  return Object.entries(words).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "string"
      ? [[path + name, [...value.matchAll(/\{\{(\w+)\}\}/g)].map((each) => each[1] ?? "").sort()]]
      : asked(value as object, `${path}${name}.`),
  );
}

it.each([
  ["common", en, zh],
  ["admin", enAdmin, zhAdmin],
  ["chat", enChat, zhChat],
  ["cluster", enCluster, zhCluster],
  ["overview", enOverview, zhOverview],
  ["scaling", enScaling, zhScaling],
])("words of %s ask for the same in both languages", (_, english, chinese) =>
  expect(Object.fromEntries(asked(chinese))).toEqual(Object.fromEntries(asked(english))),
);
