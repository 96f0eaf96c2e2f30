import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { EmptyState } from "@/ui/EmptyState";

import styles from "./Centre.module.css";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <main className={styles.centre}>
      <EmptyState
        title={t("app.notFoundTitle")}
        actions={
          <Button component={Link} to="/">
            {t("app.goToChat")}
          </Button>
        }
      >
        {t("app.notFoundBody")}
      </EmptyState>
    </main>
  );
}
