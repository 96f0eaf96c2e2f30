import { lazy, Suspense } from "react";
import { Route, Routes } from "react-router";

import { withSentences } from "@/i18n/sentenceWords";

import { CrashGuard } from "./CrashGuard";
import { Loading } from "./Loading";
import { NotFound } from "./NotFound";
import { SignedIn } from "./SignedIn";

const importChat = () => withSentences(import("@/features/chat/ChatPage"));
// The chat is what most visits want: its code is asked for while the session is.
if (window.location.pathname === "/") void importChat();

const Chat = lazy(importChat);
const Admin = lazy(() => withSentences(import("@/features/admin/AdminApp")));
const Login = lazy(() => import("@/features/login/LoginPage"));

export function App() {
  return (
    <CrashGuard>
      <Suspense fallback={<Loading />}>
        <Routes>
          <Route path="/login" element={<Login />} />
          <Route element={<SignedIn />}>
            <Route path="/" element={<Chat />} />
            <Route path="/admin/*" element={<Admin />} />
          </Route>
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </CrashGuard>
  );
}
