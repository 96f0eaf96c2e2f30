import { Button } from "@mantine/core";
import { IconFolder, IconFileZip } from "@tabler/icons-react";
import { useRef, type ChangeEvent } from "react";
import { useTranslation } from "react-i18next";

import { pickedOfField } from "./gather";
import type { Picked } from "./picked";
import styles from "./upload.module.css";

/** Every browser knows it, the standard of HTML and so React's types do not. */
const A_FOLDER = { webkitdirectory: "" };

/** A folder, or one archive; both may also be dropped onto the page. */
export function ChooseFiles({ onPicked }: { onPicked: (picked: Picked) => void }) {
  const { t } = useTranslation();
  const folder = useRef<HTMLInputElement>(null);
  const archive = useRef<HTMLInputElement>(null);
  const take = ({ currentTarget: field }: ChangeEvent<HTMLInputElement>) => {
    if (field.files?.length) onPicked(pickedOfField(field.files));
    // The same choice, made again, is a choice too.
    field.value = "";
  };
  const common = { type: "file", hidden: true, tabIndex: -1, onChange: take };
  return (
    <div className={styles.choose}>
      <p>{t("library.upload.chooseHelp")}</p>
      <div className={styles.buttons}>
        <Button
          variant="default"
          leftSection={<IconFolder size={14} stroke={1.75} />}
          onClick={() => folder.current?.click()}
        >
          {t("library.upload.chooseFolder")}
        </Button>
        <Button
          variant="default"
          leftSection={<IconFileZip size={14} stroke={1.75} />}
          onClick={() => archive.current?.click()}
        >
          {t("library.upload.chooseArchive")}
        </Button>
      </div>
      <input ref={folder} {...common} {...A_FOLDER} data-testid="folder-field" />
      <input ref={archive} {...common} data-testid="archive-field" accept=".tar,.gz,.tgz,.zip" />
    </div>
  );
}
