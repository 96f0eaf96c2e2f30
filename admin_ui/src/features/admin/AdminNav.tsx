import { ActionIcon } from "@mantine/core";
import {
  IconBox,
  IconChartLine,
  IconKey,
  IconMenu2,
  IconMessage,
  IconPlugConnected,
  IconRocket,
  IconServer2,
  IconStack2,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link, NavLink } from "react-router";

import { useSession } from "@/api/session";
import { AccountMenu } from "@/ui/AccountMenu";
import { Mark } from "@/ui/Mark";
import { onEscape } from "@/ui/onEscape";

import styles from "./AdminApp.module.css";

const PAGES = [
  { path: "overview", icon: IconChartLine },
  { path: "deployments", icon: IconRocket },
  { path: "models", icon: IconBox },
  { path: "replicas", icon: IconStack2 },
  { path: "nodes", icon: IconServer2 },
  { path: "keys", icon: IconKey },
  { path: "connect", icon: IconPlugConnected },
] as const;

interface Props {
  /** On a narrow page, where the navigation lies over the rest. */
  open: boolean;
  onToggle: (open: boolean) => void;
}

export function AdminNav({ open, onToggle }: Props) {
  const { t } = useTranslation();
  const admin = useSession().data?.role === "admin";
  return (
    <>
      <div className={styles.top}>
        <ActionIcon aria-label={t("nav.open")} aria-expanded={open} onClick={() => onToggle(true)}>
          <IconMenu2 size={20} stroke={1.75} />
        </ActionIcon>
        <Mark size={20} />
        <span>{t("app.name")}</span>
      </div>
      {open && <div className={styles.shade} onClick={() => onToggle(false)} aria-hidden />}
      <nav
        className={styles.nav}
        data-open={open}
        aria-label={t("nav.label")}
        onKeyDown={open ? onEscape(() => onToggle(false)) : undefined}
      >
        <Link to="/" className={styles.brand}>
          <Mark size={22} />
          {t("app.name")}
        </Link>
        <div className={styles.links}>
          <Link to="/" className={styles.link} data-apart>
            <IconMessage size={16} stroke={1.75} aria-hidden />
            {t("app.chat")}
          </Link>
          {admin &&
            PAGES.map(({ path, icon: Icon }) => (
              <NavLink key={path} to={`/admin/${path}`} className={styles.link} onClick={() => onToggle(false)}>
                <Icon size={16} stroke={1.75} aria-hidden />
                {t(`nav.${path}`)}
              </NavLink>
            ))}
        </div>
        <div className={styles.foot}>
          <AccountMenu other="chat" />
        </div>
      </nav>
    </>
  );
}
