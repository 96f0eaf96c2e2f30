import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import { toFailure } from "@/api/errors";
import { useProblems } from "@/api/queries";
import type { FixView, ProblemView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";
import { useWords } from "@/i18n/useSay";
import { FailureNotice } from "@/ui/FailureNotice";
import { Notice } from "@/ui/Notice";

import { mend } from "./mend";
import styles from "./overview.module.css";
import { fixWord, problemValues } from "./problemWords";

/** What is wrong now, each with the button that mends it. */
export function Problems() {
  const { t } = useTranslation();
  const problems = useProblems();
  if (problems.error && !problems.data) return <FailureNotice failure={toFailure(problems.error)} />;
  if (!problems.data) return null;
  if (problems.data.length === 0)
    return (
      <p className={styles.fine} role="status">
        <span className={styles.dot} aria-hidden />
        {t("problem.none")}
      </p>
    );
  return (
    <ul className={styles.problems} aria-label={t("problem.title")}>
      {problems.data.map((problem) => (
        <li key={`${problem.kind} ${problem.subject}`} data-problem={problem.kind}>
          <Trouble problem={problem} />
        </li>
      ))}
    </ul>
  );
}

function Trouble({ problem }: { problem: ProblemView }) {
  const { t, i18n } = useTranslation();
  const format = useFormat();
  const values = problemValues(problem, useWords(), format);
  const key = `problem.${problem.kind}`;
  // A kind that this page has no words for, or a sentence among its values: the server's own, in English.
  const says = values && i18n.exists(key) ? t(key as "problem.slow", values) : problem.message;
  return (
    <Notice
      tone={problem.severity === "bad" ? "bad" : "wait"}
      title={says}
      actions={
        (problem.fix || problem.log) && (
          <>
            {problem.fix && <Mend fix={problem.fix} />}
            {problem.log && (
              <Button component={Link} to={`/admin/replicas?log=${problem.log}`} variant="default">
                {t("problem.fix.log")}
              </Button>
            )}
          </>
        )
      }
    />
  );
}

function Mend({ fix }: { fix: FixView }) {
  const { t } = useTranslation();
  const mending = useMutation({ mutationFn: () => mend(fix) });
  const word = fixWord(fix);
  if (!word) return null;
  const label = t(`problem.fix.${word}`, { replicas: fix.replicas ?? 1 });
  if (fix.remedy === "open")
    return (
      <Button component={Link} to={`/admin/${fix.page}`} variant="default">
        {label}
      </Button>
    );
  return (
    <>
      <Button variant="default" loading={mending.isPending} onClick={() => mending.mutate()}>
        {label}
      </Button>
      {mending.error && <FailureNotice failure={toFailure(mending.error)} />}
    </>
  );
}
