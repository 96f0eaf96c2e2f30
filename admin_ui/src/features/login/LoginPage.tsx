import { Button, PasswordInput } from "@mantine/core";
import { useEffect, useState, type FormEvent } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Navigate, useLocation } from "react-router";

import { toFailure } from "@/api/errors";
import { useLogin, useSession } from "@/api/session";
import { FailureNotice } from "@/ui/FailureNotice";
import { Mark } from "@/ui/Mark";
import { Notice } from "@/ui/Notice";

import { LanguageChoice } from "./LanguageChoice";
import styles from "./LoginPage.module.css";
import { tokenInHash } from "./token";

export default function LoginPage() {
  const { t } = useTranslation();
  const [token] = useState(() => tokenInHash(window.location.hash));
  const session = useSession();
  const login = useLogin();
  const { mutate } = login;
  const { state } = useLocation() as { state: { from?: string } | null };

  useEffect(() => {
    if (!token) return;
    // Out of the address bar and the history before anything else: it is a secret.
    window.history.replaceState(window.history.state, "", "/login");
    mutate({ token });
  }, [token, mutate]);

  if (session.data && !login.isPending && (!token || login.isSuccess)) {
    return <Navigate to={state?.from ?? "/"} replace />;
  }
  const viaLink = login.variables !== undefined && "token" in login.variables;
  const failure = login.error ? toFailure(login.error) : null;
  const sent = viaLink ? "link" : "key";
  return (
    <main className={styles.page}>
      <div className={styles.box}>
        <Mark size={32} />
        <h1 className={styles.title}>{t("login.title")}</h1>
        {viaLink && login.isPending ? (
          <p role="status">{t("login.linkWorking")}</p>
        ) : (
          <>
            {failure?.status === 401 && (
              <Notice tone="bad" title={t(`login.${sent}Failed`)}>
                <Trans i18nKey={`login.${sent}Help`} components={{ cmd: <code className="mono" /> }} />
              </Notice>
            )}
            {failure && failure.status !== 401 && <FailureNotice failure={failure} />}
            <KeyForm busy={login.isPending} onKey={(key) => mutate({ key })} />
          </>
        )}
        <LanguageChoice />
      </div>
    </main>
  );
}

function KeyForm({ busy, onKey }: { busy: boolean; onKey: (key: string) => void }) {
  const { t } = useTranslation();
  const [key, setKey] = useState("");
  const [missing, setMissing] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMissing(key.trim() === "");
    if (key.trim()) onKey(key.trim());
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <p className={styles.lead}>
        <Trans i18nKey="login.lead" components={{ file: <code className="mono" /> }} />
      </p>
      <PasswordInput
        label={t("login.key")}
        placeholder="rh-…"
        value={key}
        onChange={(event) => setKey(event.currentTarget.value)}
        error={missing && t("login.keyRequired")}
        autoComplete="current-password"
        autoFocus
        size="sm"
      />
      <Button type="submit" size="sm" loading={busy} fullWidth>
        {busy ? t("login.working") : t("login.submit")}
      </Button>
    </form>
  );
}
