import { ActionIcon, Button, NumberInput, Select, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useRef } from "react";
import { useTranslation } from "react-i18next";

import { useFormat } from "@/i18n/useFormat";

import styles from "../deployments.module.css";
import { numberOrNull } from "../numberOrNull";
import { cronWords } from "./cronWords";
import { newSchedule, type ScheduleForm, type ScheduleProblem } from "./scalingForm";

interface Props {
  schedules: ScheduleForm[];
  problems: Record<number, ScheduleProblem>;
  onChange: (schedules: ScheduleForm[]) => void;
}

const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const ZONES = [...new Set(["UTC", HERE, ...Intl.supportedValuesOf("timeZone")])];
/** All of them would be hundreds of rows; whoever types finds the others. */
const ZONES_SHOWN = 50;
const HOUR_S = 3600;

/** Windows that come again and again, each with what it means in plain words. */
export function Schedules({ schedules, problems, onChange }: Props) {
  const { t } = useTranslation();
  const add = useRef<HTMLButtonElement>(null);
  const remove = (row: number) => {
    onChange(schedules.toSpliced(row, 1));
    // The button that was pressed goes away with its row.
    add.current?.focus();
  };
  return (
    <fieldset className={styles.schedules}>
      <legend>{t("scaling.schedule.title")}</legend>
      <p className={styles.help}>{t("scaling.schedule.help")}</p>
      {schedules.map((schedule, row) => (
        <Row
          key={row}
          number={row + 1}
          schedule={schedule}
          problem={problems[row]}
          onChange={(part) => onChange(schedules.with(row, { ...schedule, ...part }))}
          onRemove={() => remove(row)}
        />
      ))}
      <Button
        ref={add}
        variant="default"
        leftSection={<IconPlus size={14} stroke={2} />}
        onClick={() => onChange([...schedules, newSchedule(HERE)])}
      >
        {t("scaling.schedule.add")}
      </Button>
    </fieldset>
  );
}

interface RowProps {
  number: number;
  schedule: ScheduleForm;
  problem: ScheduleProblem | undefined;
  onChange: (part: Partial<ScheduleForm>) => void;
  onRemove: () => void;
}

function Row({ number, schedule, problem, onChange, onRemove }: RowProps) {
  const { t } = useTranslation();
  return (
    <div className={styles.schedule} role="group" aria-label={t("scaling.schedule.row", { n: number })}>
      <div className={styles.scheduleHead}>
        <TextInput
          label={t("scaling.schedule.cron")}
          className={styles.grow}
          classNames={{ input: "mono" }}
          value={schedule.cron}
          onChange={(event) => onChange({ cron: event.currentTarget.value })}
          error={problem === "cron"}
          spellCheck={false}
        />
        <ActionIcon aria-label={t("scaling.schedule.remove", { n: number })} onClick={onRemove}>
          <IconTrash size={16} stroke={1.75} />
        </ActionIcon>
      </div>
      <Select
        label={t("scaling.schedule.zone")}
        data={ZONES}
        value={schedule.timeZone}
        onChange={(zone) => onChange({ timeZone: zone ?? "" })}
        error={problem === "timeZone"}
        nothingFoundMessage={t("scaling.schedule.zoneNone")}
        limit={ZONES_SHOWN}
        searchable
      />
      <div className={styles.pair}>
        <NumberInput
          label={t("scaling.schedule.hours")}
          value={schedule.hours ?? ""}
          onChange={(value) => onChange({ hours: numberOrNull(value) })}
          error={problem === "hours"}
          min={0}
          max={8784}
        />
        <NumberInput
          label={t("scaling.schedule.replicas")}
          value={schedule.replicas ?? ""}
          onChange={(value) => onChange({ replicas: numberOrNull(value) })}
          error={problem === "replicas" || problem === "tooMany"}
          min={1}
          max={1024}
          allowDecimal={false}
        />
      </div>
      {problem ? (
        <p className={styles.problem} role="alert">
          {t(`scaling.schedule.${problem}Invalid`)}
        </p>
      ) : (
        <p className={styles.help}>
          <ScheduleWords
            cron={schedule.cron}
            timeZone={schedule.timeZone}
            durationS={(schedule.hours ?? 0) * HOUR_S}
            replicas={schedule.replicas ?? 0}
          />
        </p>
      )}
    </div>
  );
}

interface Words {
  cron: string;
  timeZone: string;
  durationS: number;
  replicas: number;
}

/** "At 08:00, Monday through Friday (Asia/Shanghai), for 10 h: at least 2". */
export function ScheduleWords({ cron, timeZone, durationS, replicas }: Words) {
  const { t, i18n } = useTranslation();
  const format = useFormat();
  return t("scaling.schedule.says", {
    // What cannot be put in words is shown as it is.
    when: cronWords(cron, i18n.language) ?? cron,
    zone: timeZone,
    time: format.duration(durationS),
    n: replicas,
  });
}
