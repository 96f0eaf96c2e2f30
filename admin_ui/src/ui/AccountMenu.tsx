import { Menu, SegmentedControl, UnstyledButton, useMantineColorScheme } from "@mantine/core";
import { IconKey, IconLogout, IconMessage, IconSettings2, IconUserCircle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { useLogout, useSession } from "@/api/session";
import { chooseLanguage, LANGUAGES, type Language } from "@/i18n";

import styles from "./AccountMenu.module.css";

interface Props {
  /** The other half of the app that the menu leads to. */
  other: "admin" | "chat";
}

export function AccountMenu({ other }: Props) {
  const { t, i18n } = useTranslation();
  const session = useSession().data;
  const logout = useLogout();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const stroke = 1.75;
  return (
    <Menu position="top-start" width={264} withinPortal>
      <Menu.Target>
        <UnstyledButton className={styles.target}>
          <IconUserCircle size={20} stroke={stroke} aria-hidden />
          <span className={styles.name}>{session?.name}</span>
          <span className="visually-hidden">{t("app.account")}</span>
          <IconSettings2 size={16} stroke={stroke} className={styles.gear} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t("app.signedInAs", { name: session?.name ?? "" })}</Menu.Label>
        {other === "chat" && (
          <Menu.Item component={Link} to="/" leftSection={<IconMessage size={16} stroke={stroke} />}>
            {t("app.chat")}
          </Menu.Item>
        )}
        {other === "admin" && session?.role === "admin" && (
          <Menu.Item component={Link} to="/admin" leftSection={<IconKey size={16} stroke={stroke} />}>
            {t("app.admin")}
          </Menu.Item>
        )}
        <Menu.Divider />
        <div className={styles.choice}>
          <span>{t("app.language")}</span>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-label={t("app.language")}
            value={i18n.language}
            onChange={(value) => chooseLanguage(value as Language)}
            data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
          />
        </div>
        <div className={styles.choice}>
          <span>{t("app.theme")}</span>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-label={t("app.theme")}
            value={colorScheme}
            onChange={(value) => setColorScheme(value as "light" | "dark" | "auto")}
            data={[
              { value: "light", label: t("app.themeLight") },
              { value: "dark", label: t("app.themeDark") },
              { value: "auto", label: t("app.themeAuto") },
            ]}
          />
        </div>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} stroke={stroke} />} onClick={() => logout.mutate()}>
          {t("app.logOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
