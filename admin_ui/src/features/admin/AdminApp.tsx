import "@/i18n/adminWords";

import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes } from "react-router";

import { useSession } from "@/api/session";
import { EmptyState } from "@/ui/EmptyState";
import { OfflineBar } from "@/ui/OfflineBar";

import styles from "./AdminApp.module.css";
import { AdminNav } from "./AdminNav";
import { ConnectPage } from "./connect/ConnectPage";
import { DeploymentsPage } from "./deployments/DeploymentsPage";
import { KeysPage } from "./keys/KeysPage";
import { ModelPage } from "./models/detail/ModelPage";
import { ModelsPage } from "./models/ModelsPage";
import { NodesPage } from "./nodes/NodesPage";
import { OverviewPage } from "./overview/OverviewPage";
import { ReplicasPage } from "./replicas/ReplicasPage";

export default function AdminApp() {
  const { t } = useTranslation();
  const session = useSession().data;
  const [navOpen, setNavOpen] = useState(false);
  return (
    <div className={styles.page}>
      <AdminNav open={navOpen} onToggle={setNavOpen} />
      <div className={styles.main}>
        <OfflineBar />
        {session?.role === "admin" ? (
          <Routes>
            <Route path="overview" element={<OverviewPage />} />
            <Route path="deployments" element={<DeploymentsPage />} />
            <Route path="models" element={<ModelsPage />} />
            <Route path="models/:name" element={<ModelPage />} />
            <Route path="replicas" element={<ReplicasPage />} />
            <Route path="nodes" element={<NodesPage />} />
            <Route path="keys" element={<KeysPage />} />
            <Route path="connect" element={<ConnectPage />} />
            <Route path="*" element={<Navigate to="/admin/overview" replace />} />
          </Routes>
        ) : (
          <main className={styles.forbidden}>
            <EmptyState title={t("admin.forbiddenTitle")}>{t("admin.forbiddenBody")}</EmptyState>
          </main>
        )}
      </div>
    </div>
  );
}
