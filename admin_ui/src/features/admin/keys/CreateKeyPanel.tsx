import { Button, Radio, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { toFailure } from "@/api/errors";
import type { KeyCreated } from "@/api/types";
import { CopyButton } from "@/ui/CopyButton";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";
import { SidePanel } from "@/ui/SidePanel";

import { useCreateKey } from "./keys";
import styles from "./keys.module.css";

type Role = "user" | "admin";

export function CreateKeyPanel({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("user");
  const [missing, setMissing] = useState(false);
  const create = useCreateKey();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMissing(!name.trim());
    if (name.trim()) create.mutate({ name: name.trim(), role });
  };
  return (
    <SidePanel title={t("admin.keys.createTitle")} onClose={onClose}>
      {create.data ? (
        <Created made={create.data} onClose={onClose} />
      ) : (
        <form onSubmit={submit} noValidate>
          <TextInput
            label={t("admin.keys.name")}
            description={t("admin.keys.nameHelp")}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={missing && t("admin.keys.nameRequired")}
            maxLength={80}
          />
          <Radio.Group label={t("admin.keys.role")} value={role} onChange={(value) => setRole(value as Role)}>
            <div className={styles.roles}>
              <Radio value="user" label={t("admin.keys.user")} description={t("admin.keys.userHelp")} />
              <Radio value="admin" label={t("admin.keys.admin")} description={t("admin.keys.adminHelp")} />
            </div>
          </Radio.Group>
          {create.error && <FailureNotice failure={toFailure(create.error)} />}
          <Button type="submit" size="sm" loading={create.isPending}>
            {create.isPending ? t("admin.keys.submitting") : t("admin.keys.submit")}
          </Button>
        </form>
      )}
    </SidePanel>
  );
}

function Created({ made, onClose }: { made: KeyCreated; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <div>
      <Notice tone="wait" title={t("admin.keys.once")} />
      <div className={styles.secret}>
        <code aria-label={t("admin.keys.secret")} data-testid="new-key">
          {made.key}
        </code>
        <CopyButton text={() => made.key} label={t("common.copy")} />
      </div>
      <Button size="sm" onClick={onClose}>
        {t("admin.keys.done")}
      </Button>
    </div>
  );
}
