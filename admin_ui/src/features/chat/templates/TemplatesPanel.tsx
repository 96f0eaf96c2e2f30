import { useState } from "react";
import { useTranslation } from "react-i18next";

import { SidePanel } from "@/ui/SidePanel";

import { type as typeText } from "../state/store";
import { TemplateEditor } from "./TemplateEditor";
import { TemplateForm } from "./TemplateForm";
import { TemplateList } from "./TemplateList";
import type { Template } from "./useTemplates";

type View = { kind: "list" } | { kind: "form"; template: Template } | { kind: "editor"; template: Template | null };

const LIST: View = { kind: "list" };

/** Prompts to fill in: those that come with the page, and a person's own. */
export default function TemplatesPanel({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [view, setView] = useState<View>(LIST);
  const insert = (text: string) => {
    typeText({ text });
    onClose();
    // The panel gives the focus back to where it was; then it may go on.
    requestAnimationFrame(() => document.getElementById("message")?.focus());
  };
  return (
    <SidePanel title={view.kind === "form" ? view.template.title : t("templates.title")} onClose={onClose}>
      {view.kind === "list" && (
        <TemplateList
          onUse={(template) => setView({ kind: "form", template })}
          onCreate={() => setView({ kind: "editor", template: null })}
        />
      )}
      {view.kind === "form" && (
        <TemplateForm
          template={view.template}
          onBack={() => setView(LIST)}
          onInsert={insert}
          onEdit={() => setView({ kind: "editor", template: view.template })}
        />
      )}
      {view.kind === "editor" && <TemplateEditor template={view.template} onDone={() => setView(LIST)} />}
    </SidePanel>
  );
}
