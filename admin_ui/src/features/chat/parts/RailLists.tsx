import { IconFolder, IconPin } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import { FailureNotice } from "@/ui/FailureNotice";

import { foldersOf, groupsOf, type Group } from "../state/groups";
import { useFound, useHeads } from "../state/library";
import { useChat } from "../state/store";
import styles from "./Rail.module.css";
import { RailItem } from "./RailItem";

interface Props {
  onOpen: (id: string) => void;
}

/** All chats: pinned, in folders, by day. */
export function ChatList({ onOpen }: Props) {
  const { t } = useTranslation();
  const { data, error, refetch } = useHeads();
  const openId = useChat((state) => state.openId);
  const answering = useChat((state) => state.answering);
  if (error && !data) return <FailureNotice failure={toFailure(error)} onRetry={() => void refetch()} />;
  if (!data) return <p className={styles.none}>{t("chat.listLoading")}</p>;
  const folders = foldersOf(data);
  const writing = new Set(Object.values(answering));
  if (data.length === 0) return <p className={styles.none}>{t("chat.noConversations")}</p>;
  return groupsOf(data, new Date().setHours(0, 0, 0, 0) / 1000).map((group) => (
    <Section key={`${group.kind} ${group.name}`} group={group}>
      {group.heads.map((head) => (
        <RailItem
          key={head.id}
          head={head}
          folders={folders}
          current={head.id === openId}
          answering={writing.has(head.id)}
          onOpen={() => onOpen(head.id)}
        />
      ))}
    </Section>
  ));
}

function Section({ group, children }: { group: Group; children: React.ReactNode }) {
  const { t } = useTranslation();
  const name = group.kind === "folder" ? group.name : t(`chat.${group.kind}`);
  return (
    <section aria-label={name}>
      <h2 className={styles.period}>
        {group.kind === "folder" && <IconFolder size={14} stroke={1.75} aria-hidden />}
        {group.kind === "pinned" && <IconPin size={14} stroke={1.75} aria-hidden />}
        <span>{name}</span>
      </h2>
      <ul className={styles.items}>{children}</ul>
    </section>
  );
}

/** Chats that have the words in their title or in a message, with the place. */
export function FoundList({ words, onOpen }: Props & { words: string }) {
  const { t } = useTranslation();
  const { data, error } = useFound(words);
  const openId = useChat((state) => state.openId);
  if (error) return <FailureNotice failure={toFailure(error)} />;
  if (!data) return <p className={styles.none} role="status">{t("chat.searching")}</p>;
  if (data.length === 0) return <p className={styles.none} role="status">{t("chat.notFound", { text: words })}</p>;
  return (
    <ul className={styles.items}>
      {data.map((head) => (
        <RailItem
          key={head.id}
          head={head}
          folders={[]}
          current={head.id === openId}
          answering={false}
          snippet={head.snippet}
          onOpen={() => onOpen(head.id)}
        />
      ))}
    </ul>
  );
}
