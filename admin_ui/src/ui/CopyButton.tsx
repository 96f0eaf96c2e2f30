import { ActionIcon, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { copyText } from "./copyText";

interface Props {
  /** Asked for when clicked. */
  text: () => string;
  label: string;
  size?: number;
}

export function CopyButton({ text, label, size = 28 }: Props) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text()))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  const says = copied ? t("common.copied") : label;
  return (
    <Tooltip label={says}>
      <ActionIcon size={size} aria-label={says} onClick={() => void copy()}>
        {copied ? <IconCheck size={16} stroke={1.75} /> : <IconCopy size={16} stroke={1.75} />}
      </ActionIcon>
    </Tooltip>
  );
}
