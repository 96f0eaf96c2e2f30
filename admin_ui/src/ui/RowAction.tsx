import { ActionIcon, Tooltip } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import { Link } from "react-router";

interface Props {
  icon: Icon;
  /** The verb: "Scale". */
  label: string;
  /** The row's name; read out after the verb. */
  of: string;
  onClick?: () => void;
  to?: string;
  /** Why it cannot be done; shown instead of doing it. */
  blocked?: string | undefined;
}

export function RowAction({ icon: Icon, label, of, onClick, to, blocked }: Props) {
  const image = <Icon size={16} stroke={1.75} />;
  const name = `${label} ${of}`;
  return (
    <Tooltip label={blocked ?? label} multiline maw={280}>
      {to ? (
        <ActionIcon size={28} component={Link} to={to} aria-label={name}>
          {image}
        </ActionIcon>
      ) : (
        <ActionIcon
          size={28}
          aria-label={blocked ? `${name}: ${blocked}` : name}
          data-disabled={blocked !== undefined || undefined}
          aria-disabled={blocked !== undefined}
          onClick={() => blocked === undefined && onClick?.()}
        >
          {image}
        </ActionIcon>
      )}
    </Tooltip>
  );
}
