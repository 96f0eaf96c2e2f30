/** The words of the admin pages' larger parts, added once those pages are asked for. */
import i18next from "i18next";

import * as en from "./enAdmin";
import * as zh from "./zhAdmin";

i18next.addResourceBundle("en", "translation", en, true);
i18next.addResourceBundle("zh-CN", "translation", zh, true);
