import { Navigate, Outlet, useLocation } from "react-router";

import { toFailure } from "@/api/errors";
import { useLiveLists } from "@/api/live";
import { useSession } from "@/api/session";
import { FailureNotice } from "@/ui/FailureNotice";

import { Loading } from "./Loading";
import styles from "./Centre.module.css";

/** The pages behind the login. Any 401 empties the session, and so leads to the login page. */
export function SignedIn() {
  const session = useSession();
  const { pathname, search } = useLocation();
  if (session.data === null) return <Navigate to="/login" replace state={{ from: pathname + search }} />;
  if (session.data) return <Live identity={session.data.csrf_token} />;
  if (!session.error) return <Loading />;
  return (
    <main className={styles.centre}>
      <FailureNotice failure={toFailure(session.error)} onRetry={() => void session.refetch()} />
    </main>
  );
}

function Live({ identity }: { identity: string }) {
  useLiveLists(identity);
  return <Outlet />;
}
