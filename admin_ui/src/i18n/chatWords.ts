/** The words of the chat, added once that page is asked for. */
import i18next from "i18next";

import * as en from "./enChat";
import * as zh from "./zhChat";

i18next.addResourceBundle("en", "translation", en, true);
i18next.addResourceBundle("zh-CN", "translation", zh, true);
