/** The words of the admin pages' larger parts, added once those pages are asked for. */
import i18next from "i18next";

import * as en from "./enAdmin";
import * as enCluster from "./enCluster";
import * as enOverview from "./enOverview";
import * as enScaling from "./enScaling";
import * as zh from "./zhAdmin";
import * as zhCluster from "./zhCluster";
import * as zhOverview from "./zhOverview";
import * as zhScaling from "./zhScaling";

for (const words of [en, enCluster, enOverview, enScaling]) i18next.addResourceBundle("en", "translation", words, true);
for (const words of [zh, zhCluster, zhOverview, zhScaling]) i18next.addResourceBundle("zh-CN", "translation", words, true);
