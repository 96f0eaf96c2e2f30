import { ActionIcon, Button, SegmentedControl, TextInput } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconSearch, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";
import { CopyButton } from "@/ui/CopyButton";

import { matching, type NumberedLine, type Stream } from "./lines";
import { LogLines } from "./LogLines";
import styles from "./replicas.module.css";
import { useLog } from "./useLog";

const STREAMS: Stream[] = ["both", "out", "err"];

/** A replica's log, live: searched, paused, copied. */
export function LogSection({ id, onClose }: { id: string; onClose: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const log = useLog(id);
  const [text, setText] = useState("");
  const [stream, setStream] = useState<Stream>("both");
  const [held, setHeld] = useState<readonly NumberedLine[] | null>(null);
  const lines = held ?? log.lines;
  const shown = matching(lines, text, stream);
  const missed = held ? (log.lines.at(-1)?.n ?? 0) - (held.at(-1)?.n ?? 0) : 0;
  const says = [
    held && t("log.paused", { n: format.number(missed) }),
    log.ended && t("log.ended"),
    log.lost && t("log.lost"),
  ].filter(Boolean);
  return (
    <section className={styles.log} aria-labelledby="log-title" data-log={id}>
      <header className={styles.logHead}>
        <h2 id="log-title">{t("log.title", { name: id })}</h2>
        <TextInput
          size="xs"
          className={styles.search}
          aria-label={t("log.search")}
          placeholder={t("log.search")}
          leftSection={<IconSearch size={14} stroke={2} />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <SegmentedControl
          size="xs"
          aria-label={t("log.stream")}
          value={stream}
          onChange={(value) => setStream(value as Stream)}
          data={STREAMS.map((value) => ({ value, label: t(`log.${value}`) }))}
        />
        <span className={styles.tools}>
          <Button
            variant="default"
            leftSection={held ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
            onClick={() => setHeld(held ? null : log.lines)}
          >
            {held ? t("log.resume") : t("log.pause")}
          </Button>
          <CopyButton text={() => shown.map((line) => line.text).join("\n")} label={t("log.copy")} />
          <ActionIcon size={28} aria-label={t("common.close")} onClick={onClose}>
            <IconX size={16} stroke={1.75} />
          </ActionIcon>
        </span>
      </header>
      <p className={styles.logSays} role="status">
        {t("log.lines", { shown: format.number(shown.length), all: format.number(lines.length) })}
        {says.map((each) => ` · ${each}`)}
      </p>
      {log.failure && <p className={styles.logSays}>{t("log.notFound")}</p>}
      <LogLines lines={shown} text={text} follow={!held}>
        {lines.length === 0 ? !log.failure && t("log.empty") : t("log.noMatch", { text: text.trim() })}
      </LogLines>
    </section>
  );
}
