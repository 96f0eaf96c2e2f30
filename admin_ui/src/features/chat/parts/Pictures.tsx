import { ActionIcon, CloseButton, FileButton, Tooltip } from "@mantine/core";
import { IconPhoto } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { type } from "../state/store";
import styles from "./Composer.module.css";
import { shrunk } from "./shrunk";

const MAX_PICTURES = 4;

/** What goes with the message, each with a way to leave it out. */
export function Pictures({ images }: { images: string[] }) {
  const { t } = useTranslation();
  if (images.length === 0) return null;
  return (
    <ul className={styles.pictures}>
      {images.map((url, index) => (
        <li key={url}>
          <img src={url} alt={t("chat.picture", { n: index + 1 })} />
          <CloseButton
            size="xs"
            aria-label={`${t("common.delete")}: ${t("chat.picture", { n: index + 1 })}`}
            onClick={() => type({ images: images.filter((each) => each !== url) })}
          />
        </li>
      ))}
    </ul>
  );
}

export function PictureButton({ images }: { images: string[] }) {
  const { t } = useTranslation();
  const add = async (files: File[]) => {
    const shrinking = files.slice(0, MAX_PICTURES - images.length).map(shrunk);
    type({ images: [...images, ...(await Promise.all(shrinking))] });
  };
  return (
    <FileButton multiple accept="image/png,image/jpeg,image/webp,image/gif" onChange={(files) => void add(files)}>
      {(props) => (
        <Tooltip label={t("chat.addPicture")}>
          <ActionIcon {...props} aria-label={t("chat.addPicture")} disabled={images.length >= MAX_PICTURES}>
            <IconPhoto size={18} stroke={1.75} />
          </ActionIcon>
        </Tooltip>
      )}
    </FileButton>
  );
}
