import { memo, useEffect, useRef, type ReactNode } from "react";

import { marked, type NumberedLine } from "./lines";
import styles from "./replicas.module.css";

/** Within this of its end the log is at its end. */
const NEAR_PX = 24;

interface Props {
  lines: readonly NumberedLine[];
  /** What is marked. */
  text: string;
  /** Stay at the end as lines come, unless the reader has scrolled away from it. */
  follow: boolean;
  /** Instead of lines, where there are none. */
  children: ReactNode;
}

export function LogLines({ lines, text, follow, children }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const room = box.current;
    if (room && follow && atEnd.current) room.scrollTop = room.scrollHeight;
  }, [lines, follow]);
  return (
    <div
      ref={box}
      className={styles.lines}
      // Scrolled by keyboard too.
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-labelledby="log-title"
      onScroll={({ currentTarget: room }) => {
        atEnd.current = room.scrollHeight - room.scrollTop - room.clientHeight < NEAR_PX;
      }}
    >
      {lines.length === 0 && <p className={styles.none}>{children}</p>}
      {lines.map((line) => (
        <OneLine key={line.n} line={line} text={text} />
      ))}
    </div>
  );
}

const OneLine = memo(function OneLine({ line, text }: { line: NumberedLine; text: string }) {
  return (
    <div className={styles.line} data-stream={line.stream}>
      {marked(line.text, text).map(({ part, hit }, index) => (hit ? <mark key={index}>{part}</mark> : part))}
    </div>
  );
});
