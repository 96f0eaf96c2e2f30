import { Button, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";

import { api, expectData } from "@/api/client";
import { toFailure } from "@/api/errors";
import { useModels } from "@/api/queries";
import { useFormat } from "@/i18n/useFormat";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";
import { SidePanel } from "@/ui/SidePanel";

import { ChooseFiles } from "./ChooseFiles";
import { differenceOf, isSame, matchUpload } from "./match";
import { isModelName, type Picked } from "./picked";
import { OtherFiles, PickedSummary } from "./PickedSummary";
import { startUpload } from "./store";

interface Props {
  /** Who gets a new revision; "" for any. */
  model: string;
  /** That was begun before and goes on; "" for none. */
  uploadId: string;
  picked: Picked | null;
  onPicked: (picked: Picked) => void;
  onClose: () => void;
}

/** Choose files, say what they are, send them. An upload of the same files that was begun before goes on. */
export function UploadPanel({ model, uploadId, picked, onPicked, onClose }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState<string | null>(null);
  const [description, setDescription] = useState("");
  const [notes, setNotes] = useState("");
  const models = useModels().data ?? [];
  // Asked for anew each time: how far they are changes while nobody looks.
  const begun = useQuery({
    queryKey: ["begun-uploads"],
    queryFn: async () => expectData(await api.GET("/api/v1/uploads")),
    staleTime: 0,
    gcTime: 0,
  });
  const asked = begun.data?.find((each) => each.id === uploadId && each.state === "receiving");
  const candidates = (begun.data ?? []).filter((each) => !model || each.name === model);
  const found = asked ?? (picked ? matchUpload(candidates, picked.files) : undefined);
  const name = asked?.name || model || (typed ?? (found?.name || picked?.name || ""));
  const goesOn = found?.name === name ? found : undefined;
  const difference = asked && picked ? differenceOf(asked.files, picked.files) : null;
  const isWrong = difference !== null && !isSame(difference);
  const isNew = models.every((each) => each.name !== name);
  const start = useMutation({
    mutationFn: ({ files }: Picked) =>
      startUpload(goesOn, { name, description: isNew ? description : "", notes }, files),
    onSuccess: onClose,
  });
  const canStart = picked !== null && picked.files.length > 0 && isModelName(name) && !isWrong && !begun.isPending;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (picked && canStart) start.mutate(picked);
  };
  const title = asked ? t("library.upload.goOnTitle", { name }) : t("library.upload.panelTitle");
  return (
    <SidePanel title={title} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <ChooseFiles onPicked={onPicked} />
        {picked && <PickedSummary picked={picked} isNew={!asked} />}
        {isWrong && <OtherFiles difference={difference} />}
        {!asked && (
          <TextInput
            label={t("library.upload.name")}
            description={t(isNew || !name ? "library.upload.nameHelp" : "library.upload.nameTaken", { name })}
            value={name}
            onChange={(event) => setTyped(event.currentTarget.value.trim())}
            readOnly={model !== ""}
            error={name !== "" && !isModelName(name) && t("admin.deployments.nameInvalid")}
            spellCheck={false}
          />
        )}
        {!goesOn && isNew && (
          <Textarea
            label={t("library.upload.description")}
            description={t("library.upload.descriptionHelp")}
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
            maxLength={4096}
            autosize
          />
        )}
        {!goesOn && (
          <Textarea
            label={t("library.upload.notes")}
            description={t("library.upload.notesHelp")}
            value={notes}
            onChange={(event) => setNotes(event.currentTarget.value)}
            maxLength={4096}
            autosize
          />
        )}
        {goesOn && !isWrong && picked && <GoesOn received={goesOn.received_bytes} total={goesOn.total_bytes} />}
        {begun.error && <FailureNotice failure={toFailure(begun.error)} onRetry={() => void begun.refetch()} />}
        {start.error && <FailureNotice failure={toFailure(start.error)} />}
        <Button type="submit" size="sm" loading={start.isPending} disabled={!canStart}>
          {t(start.isPending ? "library.upload.starting" : goesOn ? "library.upload.goOn" : "library.upload.start")}
        </Button>
      </form>
    </SidePanel>
  );
}

function GoesOn({ received, total }: { received: number; total: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const amounts = { done: format.bytes(received), total: format.bytes(total) };
  return <Notice tone="info">{t("library.upload.goesOn", amounts)}</Notice>;
}
