import { Button } from "@mantine/core";
import i18next from "i18next";
import { Component, type ReactNode } from "react";

import { EmptyState } from "@/ui/EmptyState";

import styles from "./Centre.module.css";

interface State {
  message: string | null;
}

/** What is shown when a component throws: never a blank page. */
export class CrashGuard extends Component<{ children: ReactNode }, State> {
  override state: State = { message: null };

  static getDerivedStateFromError(error: unknown): State {
    return { message: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    const { message } = this.state;
    if (message === null) return this.props.children;
    return (
      <main className={styles.centre}>
        <EmptyState
          title={i18next.t("app.crashTitle")}
          actions={<Button onClick={() => window.location.reload()}>{i18next.t("app.reload")}</Button>}
        >
          <p>{i18next.t("app.crashBody")}</p>
          <p className="mono">{message}</p>
        </EmptyState>
      </main>
    );
  }
}
