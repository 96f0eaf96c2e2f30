import "@/i18n/chatWords";

import { useHotkeys, useMediaQuery } from "@mantine/hooks";
import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { OfflineBar } from "@/ui/OfflineBar";

import styles from "./ChatPage.module.css";
import { ChatHead } from "./parts/ChatHead";
import { Composer } from "./parts/Composer";
import { Rail } from "./parts/Rail";
import { Thread } from "./parts/Thread";
import { Welcome } from "./parts/Welcome";
import { openChat } from "./state/library";
import { useAddress } from "./state/useAddress";
import { useOpenChat } from "./state/useOpenChat";
import { useOwner } from "./state/useOwner";

const SettingsPanel = lazy(() => import("./parts/SettingsPanel"));
const TemplatesPanel = lazy(() => import("./templates/TemplatesPanel"));
const NARROW = "(max-width: 760px)";

type Drawer = "settings" | "templates";

export default function ChatPage() {
  const { t } = useTranslation();
  const narrow = useMediaQuery(NARROW, undefined, { getInitialValueInEffect: false }) ?? false;
  const [railOpen, setRailOpen] = useState(!narrow);
  const [drawer, setDrawer] = useState<Drawer | null>(null);
  useOwner();
  useAddress();
  const chat = useOpenChat();
  const title = chat.conversation?.title;
  const toggle = useCallback((which: Drawer) => setDrawer((old) => (old === which ? null : which)), []);
  const showRail = useCallback(() => setRailOpen(true), []);
  const hideRail = useCallback(() => setRailOpen(false), []);
  const openSettings = useCallback(() => toggle("settings"), [toggle]);
  const openTemplates = useCallback(() => toggle("templates"), [toggle]);
  useEffect(() => setRailOpen(!narrow), [narrow]);
  useEffect(() => {
    document.title = title ? `${title} · Roundhouse` : "Roundhouse";
  }, [title]);
  useHotkeys(
    [
      ["mod+K", () => searchChats(showRail)],
      ["mod+shift+O", () => void openChat(null)],
      ["mod+shift+comma", openSettings, { usePhysicalKeys: true }],
      ["mod+shift+period", openTemplates, { usePhysicalKeys: true }],
    ],
    [],
  );
  useHotkeys([["/", () => document.getElementById("message")?.focus()]]);

  return (
    <div className={styles.page}>
      {railOpen && <Rail narrow={narrow} onHide={hideRail} />}
      <main className={styles.main}>
        <OfflineBar />
        <ChatHead
          title={title}
          railOpen={railOpen}
          onShowRail={showRail}
          settingsOpen={drawer === "settings"}
          onSettings={openSettings}
        />
        {chat.conversation === undefined && <p className={styles.opening} role="status">{t("chat.opening")}</p>}
        {chat.conversation && chat.branch.length > 0 && <Thread key={`thread ${chat.conversation.id}`} chat={chat} />}
        {chat.conversation && chat.branch.length === 0 && <Welcome models={chat.models} onTemplates={openTemplates} />}
        <Composer
          key={`composer ${chat.conversation?.id}`}
          chatId={chat.conversation?.id}
          models={chat.models}
          answering={chat.answering}
          onTemplates={openTemplates}
        />
      </main>
      <Suspense>
        {drawer === "settings" && chat.conversation && (
          <SettingsPanel settings={chat.conversation.settings} onClose={() => setDrawer(null)} />
        )}
        {drawer === "templates" && <TemplatesPanel onClose={() => setDrawer(null)} />}
      </Suspense>
    </div>
  );
}

/** The field is there once the rail is. */
function searchChats(showRail: () => void): void {
  showRail();
  requestAnimationFrame(() => document.getElementById("search-chats")?.focus());
}
