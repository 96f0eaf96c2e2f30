import { useMediaQuery } from "@mantine/hooks";
import { lazy, Suspense, useEffect, useState } from "react";
import { useSearchParams } from "react-router";

import { OfflineBar } from "@/ui/OfflineBar";

import styles from "./ChatPage.module.css";
import { ChatHead } from "./parts/ChatHead";
import { Composer } from "./parts/Composer";
import { Rail } from "./parts/Rail";
import { Thread } from "./parts/Thread";
import { Welcome } from "./parts/Welcome";
import { chooseModel, openChat } from "./state/store";
import { useOpenChat } from "./state/useOpenChat";

const SettingsPanel = lazy(() => import("./parts/SettingsPanel"));
const NARROW = "(max-width: 760px)";

export default function ChatPage() {
  const narrow = useMediaQuery(NARROW, undefined, { getInitialValueInEffect: false }) ?? false;
  const [railOpen, setRailOpen] = useState(!narrow);
  const [settingsOpen, setSettingsOpen] = useState(false);
  const chat = useOpenChat();

  const [params, setParams] = useSearchParams();
  const wanted = params.get("model");

  useEffect(() => setRailOpen(!narrow), [narrow]);
  // A link to "/?model=NAME" begins a new chat with that model.
  useEffect(() => {
    if (!wanted) return;
    openChat(null);
    chooseModel(wanted);
    setParams({}, { replace: true });
  }, [wanted, setParams]);
  useEffect(() => {
    document.title = chat.conversation?.title ? `${chat.conversation.title} · Roundhouse` : "Roundhouse";
  }, [chat.conversation?.title]);

  return (
    <div className={styles.page}>
      {railOpen && <Rail narrow={narrow} onHide={() => setRailOpen(false)} />}
      <main className={styles.main}>
        <OfflineBar />
        <ChatHead
          conversation={chat.conversation}
          railOpen={railOpen}
          onShowRail={() => setRailOpen(true)}
          settingsOpen={settingsOpen}
          onSettings={() => setSettingsOpen((open) => !open)}
        />
        {chat.conversation && chat.conversation.messages.length > 0 ? (
          <Thread key={chat.conversation.id} conversation={chat.conversation} choice={chat.choice} />
        ) : (
          <Welcome choice={chat.choice} loading={chat.loading} failure={chat.failure} />
        )}
        <Composer key={chat.conversation?.id ?? "new"} chat={chat} />
      </main>
      {settingsOpen && (
        <Suspense>
          <SettingsPanel settings={chat.settings} onClose={() => setSettingsOpen(false)} />
        </Suspense>
      )}
    </div>
  );
}
