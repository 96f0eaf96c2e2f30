import { Autocomplete } from "@mantine/core";
import { useState, type KeyboardEvent } from "react";

import styles from "./Rail.module.css";

interface Props {
  label: string;
  help?: string;
  value: string;
  /** Offered while typing. */
  known?: string[];
  /** null: leave it as it is. */
  onDone: (value: string | null) => void;
}

/** One line in the place of a chat's title. Enter and leaving keep it, Escape does not. */
export function RailField({ label, help, value, known = [], onDone }: Props) {
  const [text, setText] = useState(value);
  const done = () => onDone(text.trim() === value ? null : text.trim());
  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    if (event.key === "Enter") done();
    else onDone(null);
  };
  return (
    <Autocomplete
      className={styles.field}
      size="xs"
      aria-label={label}
      description={help}
      data={known}
      maxLength={80}
      value={text}
      onChange={setText}
      onOptionSubmit={onDone}
      onKeyDown={press}
      onBlur={done}
      onFocus={(event) => event.currentTarget.select()}
      autoFocus
    />
  );
}
