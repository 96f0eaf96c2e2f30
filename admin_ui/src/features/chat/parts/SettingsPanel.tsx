import { Button, NumberInput, Switch, TagsInput, Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { ChatSettings } from "@/api/types";
import { SidePanel } from "@/ui/SidePanel";

import { DEFAULT_SETTINGS } from "../state/conversation";
import { changeSettings } from "../state/library";
import { Dial } from "./Dial";
import { Shortcuts } from "./Shortcuts";

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
          value={settings.system_prompt}
          onChange={(event) => changeSettings({ system_prompt: event.currentTarget.value })}
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
          value={settings.top_p}
          max={1}
          resting={1}
          onChange={(top_p) => changeSettings({ top_p })}
        />
        <Count
          name="maxTokens"
          value={settings.max_tokens}
          step={64}
          onChange={(max_tokens) => changeSettings({ max_tokens })}
        />
        <Count
          name="context"
          value={settings.context_tokens}
          step={1024}
          onChange={(context_tokens) => changeSettings({ context_tokens })}
        />
        <TagsInput
          label={t("settings.stop")}
          description={t("settings.stopHelp")}
          value={settings.stop}
          maxTags={4}
          splitChars={[]}
          onChange={(stop) => changeSettings({ stop })}
        />
        <Count name="seed" value={settings.seed} step={1} min={0} onChange={(seed) => changeSettings({ seed })} />
        <Switch
          label={t("settings.stream")}
          description={t("settings.streamHelp")}
          checked={settings.stream}
          onChange={(event) => changeSettings({ stream: event.currentTarget.checked })}
        />
        <Button variant="default" onClick={() => changeSettings(DEFAULT_SETTINGS)}>
          {t("settings.reset")}
        </Button>
        <Shortcuts />
      </div>
    </SidePanel>
  );
}

interface CountProps {
  name: "maxTokens" | "context" | "seed";
  value: number | null;
  step: number;
  min?: number;
  onChange: (value: number | null) => void;
}

/** A whole number, or nothing. */
function Count({ name, value, step, min = 1, onChange }: CountProps) {
  const { t } = useTranslation();
  return (
    <NumberInput
      label={t(`settings.${name}`)}
      description={t(`settings.${name}Help`)}
      placeholder={t(`settings.${name}Placeholder`)}
      value={value ?? ""}
      onChange={(next) => onChange(typeof next === "number" && next >= min ? next : null)}
      min={min}
      step={step}
      allowDecimal={false}
      allowNegative={false}
    />
  );
}
