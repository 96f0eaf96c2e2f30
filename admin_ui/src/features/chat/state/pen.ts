/** Gathers what comes of one answer between two drawings, and takes the times. */
import type { Message } from "@/api/types";

import type { ChatEvent } from "../stream/completion";
import { hear } from "./conversation";

export type Draw = (old: Message) => Message;

/** In a hidden page nothing is drawn by the frame, but the words must not pile up. */
const HIDDEN_MS = 500;
/** Drawing may take this share of the time, however long the answer has become. */
const DRAWING_SHARE = 0.5;
const FRAME_MS = 16;

export class Pen {
  private readonly startedAt = performance.now();
  private firstAt: number | null = null;
  private pieces = 0;
  private usage: { prompt: number; completion: number } | null = null;
  private waiting: ChatEvent[] = [];
  private cancel: (() => void) | null = null;
  private restMs = 0;

  /** `said`: tokens of an answer that this one goes on with. */
  constructor(
    private readonly draw: (how: Draw) => void,
    private readonly said = 0,
  ) {}

  get begun(): boolean {
    return this.firstAt !== null;
  }

  hear(event: ChatEvent): void {
    if (event.kind === "text" || event.kind === "reasoning") {
      this.firstAt ??= performance.now();
      this.pieces += 1;
    }
    if (event.kind === "usage") this.usage = { prompt: event.promptTokens, completion: event.completionTokens };
    this.waiting.push(event);
    this.cancel ??= this.schedule();
  }

  /** The last drawing, with the numbers. */
  finish(): Draw {
    const drawRest = this.flush();
    return (old) => {
      const message = drawRest(old);
      // An answer that came whole has no first token of its own.
      return this.firstAt === null ? message : { ...message, stats: this.stats(this.pieces > 1) };
    };
  }

  private schedule(): () => void {
    const act = () => {
      const beganAt = performance.now();
      const how = this.flush();
      this.draw((old) => ({ ...how(old), stats: this.stats(true) }));
      // React draws right after this task: what both took decides how long the others may work.
      setTimeout(() => (this.restMs = ((performance.now() - beganAt) * (1 - DRAWING_SHARE)) / DRAWING_SHARE));
    };
    if (document.hidden || this.restMs > FRAME_MS) {
      const timer = setTimeout(act, document.hidden ? HIDDEN_MS : this.restMs);
      return () => clearTimeout(timer);
    }
    const frame = requestAnimationFrame(act);
    return () => cancelAnimationFrame(frame);
  }

  /** Until the server has counted, each piece that came is taken for one token. */
  private stats(streamed: boolean): Message["stats"] {
    const { firstAt, startedAt, usage } = this;
    return {
      ttft_s: streamed && firstAt !== null ? (firstAt - startedAt) / 1000 : null,
      duration_s: (performance.now() - startedAt) / 1000,
      prompt_tokens: usage?.prompt ?? null,
      completion_tokens: this.said + (usage?.completion ?? this.pieces),
    };
  }

  private flush(): Draw {
    this.cancel?.();
    this.cancel = null;
    const events = this.waiting;
    this.waiting = [];
    return (old) => events.reduce(hear, old);
  }
}
