import { Button, NumberInput, Switch, Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { SidePanel } from "@/ui/SidePanel";

import { DEFAULT_SETTINGS, type ChatSettings } from "../state/conversation";
import { changeSettings } from "../state/store";
import { Dial } from "./Dial";

interface Props {
  settings: ChatSettings;
  onClose: () => void;
}

/** What is sent with the messages of this chat. Changes hold from the next message on. */
export default function SettingsPanel({ settings, onClose }: Props) {
  const { t } = useTranslation();
  return (
    <SidePanel title={t("settings.title")} onClose={onClose}>
      <div>
        <Textarea
          label={t("settings.system")}
          description={t("settings.systemHelp")}
          placeholder={t("settings.systemPlaceholder")}
          value={settings.systemPrompt}
          onChange={(event) => changeSettings({ systemPrompt: event.currentTarget.value })}
          autosize
          minRows={4}
          maxRows={12}
        />
        <Dial
          label={t("settings.temperature")}
          help={t("settings.temperatureHelp")}
          value={settings.temperature}
          max={2}
          resting={1}
          onChange={(temperature) => changeSettings({ temperature })}
        />
        <Dial
          label={t("settings.topP")}
          help={t("settings.topPHelp")}
          value={settings.topP}
          max={1}
          resting={1}
          onChange={(topP) => changeSettings({ topP })}
        />
        <NumberInput
          label={t("settings.maxTokens")}
          description={t("settings.maxTokensHelp")}
          placeholder={t("settings.maxTokensPlaceholder")}
          value={settings.maxTokens ?? ""}
          onChange={(value) => changeSettings({ maxTokens: typeof value === "number" && value > 0 ? value : null })}
          min={1}
          step={64}
          allowDecimal={false}
          allowNegative={false}
        />
        <Switch
          label={t("settings.stream")}
          description={t("settings.streamHelp")}
          checked={settings.stream}
          onChange={(event) => changeSettings({ stream: event.currentTarget.checked })}
        />
        <Button variant="default" onClick={() => changeSettings(DEFAULT_SETTINGS)}>
          {t("settings.reset")}
        </Button>
      </div>
    </SidePanel>
  );
}
