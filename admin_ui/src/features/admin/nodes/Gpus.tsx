import { useTranslation } from "react-i18next";

import type { GpuView, NodeView } from "@/api/types";
import { useFormat } from "@/i18n/useFormat";

import styles from "./nodes.module.css";

/** A host's GPUs as the driver tells them: memory, use, and the slices that one is divided into. */
export function Gpus({ node }: { node: NodeView }) {
  const { t } = useTranslation();
  if (node.gpu_devices.length === 0) return null;
  return (
    <ul className={styles.gpus} aria-label={t("host.gpusOf", { name: node.hostname })}>
      {node.gpu_devices.map((gpu) => (
        <Gpu key={gpu.index} gpu={gpu} />
      ))}
    </ul>
  );
}

function Gpu({ gpu }: { gpu: GpuView }) {
  const { t } = useTranslation();
  const format = useFormat();
  const used = gpu.memory_bytes - gpu.free_bytes;
  return (
    <li className={styles.gpu} data-gpu={gpu.index}>
      <span className={styles.gpuName}>
        {gpu.index} · {gpu.name}
      </span>
      <Bar part={used / gpu.memory_bytes} />
      <span className={styles.figure}>
        {t("host.memoryOf", { used: format.memory(used), all: format.memory(gpu.memory_bytes) })}
      </span>
      {gpu.usage !== null && <Bar part={gpu.usage} />}
      <span className={styles.figure}>
        {gpu.usage === null ? t("host.unknownUse") : t("host.use", { percent: format.number(gpu.usage * 100) })}
      </span>
      <span className={styles.dim}>{t("host.driver", { version: gpu.driver })}</span>
      {gpu.slices.length > 0 && (
        <span className={styles.dim}>
          {t("host.slices")}: {gpu.slices.join(", ")}
        </span>
      )}
    </li>
  );
}

const Bar = ({ part }: { part: number }) => (
  <span className={styles.bar} aria-hidden>
    <span data-full={part > 0.9} style={{ width: `${Math.min(100, Math.max(0, part * 100))}%` }} />
  </span>
);
