import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import uPlot from "uplot";

import type { Line } from "./Chart";

interface Props {
  at: number[];
  lines: Line[];
  format: (value: number) => string;
  /** The place under the pointer, in `at`; null without one. */
  onCursor: (index: number | null) => void;
}

const FONT = "11px system-ui, sans-serif";
const TOGETHER = "overview";

/** The canvas of a chart, by uPlot. Charts of one page share their pointer. */
export default function Plot({ at, lines, format, onCursor }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const scheme = useComputedColorScheme();
  const language = useTranslation().i18n.language;
  const colours = lines.map((line) => line.colour).join();
  const data = [at, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  const newestData = useRef(data);
  newestData.current = data;
  useEffect(() => {
    const room = box.current;
    if (!room) return;
    const options = optionsOf(colours.split(","), format, language, onCursor);
    const made = new uPlot({ ...options, width: room.clientWidth, height: room.clientHeight }, newestData.current, room);
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: room.clientWidth, height: room.clientHeight }));
    watcher.observe(room);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Figures come and go without a new canvas; colours of the other theme need one.
  }, [colours, scheme, language, format, onCursor]);
  useEffect(() => plot.current?.setData(newestData.current), [at, lines]);
  return <div ref={box} style={{ height: "100%" }} />;
}

function optionsOf(
  colours: string[],
  format: (value: number) => string,
  language: string,
  onCursor: (index: number | null) => void,
): Omit<uPlot.Options, "width" | "height"> {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--dim"), font: FONT, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hour12: false });
  return {
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: { sync: { key: TOGETHER }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_self, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, size: 24, space: 64, values: (_self, splits) => splits.map((each) => time.format(each * 1000)) },
      { ...axis, size: 60, space: 32, values: (_self, splits) => splits.map((each) => format(each)) },
    ],
    series: [{}, ...colours.map((name) => ({ stroke: colour(name), width: 1.5, points: { show: false } }))],
    hooks: { setCursor: [(self) => onCursor(self.cursor.idx ?? null)] },
  };
}
