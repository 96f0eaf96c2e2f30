/** Runs requests and writes what comes into the store. Goes on when the page shows something else. */
import { toFailure } from "@/api/errors";

import { cutOff, type ChatEvent } from "../stream/completion";
import { streamChat } from "../stream/streamChat";
import { ask, askAgain, changeMessage, hear, requestOf, type Message } from "./conversation";
import { change, newId, openOrBegin, useChat } from "./store";

/** Words are drawn this often at most: a fast model sends hundreds of events a second. */
const DRAW_MS = 40;

const stops = new Map<string, AbortController>();

export function sendMessage(text: string, model: string): void {
  const { id } = openOrBegin();
  const answerId = newId();
  change(id, (old) => ask(old, { id: newId(), answerId, text, model }, Date.now()));
  void answer(id, answerId, model);
}

export function regenerate(id: string, model: string): void {
  stopAnswer(id);
  const answerId = newId();
  change(id, (old) => askAgain(old, answerId, model, Date.now()));
  void answer(id, answerId, model);
}

export function stopAnswer(id: string): void {
  stops.get(id)?.abort();
}

async function answer(id: string, answerId: string, model: string): Promise<void> {
  const conversation = useChat.getState().conversations[id];
  if (!conversation) return;
  const stop = new AbortController();
  stops.set(id, stop);
  useChat.setState((old) => ({ answering: { ...old.answering, [id]: answerId } }));
  const pen = new Pen((draw) => change(id, (old) => changeMessage(old, answerId, draw), false));
  try {
    for await (const event of streamChat(requestOf(conversation, model), stop.signal)) pen.hear(event);
  } catch (error) {
    if (stop.signal.aborted) pen.hear({ kind: "finish", reason: "stopped" }, "stopped");
    else pen.hear({ kind: "error", failure: pen.begun ? cutOff() : toFailure(error) });
  }
  const last = pen.finish();
  change(id, (old) => changeMessage(old, answerId, last));
  if (stops.get(id) === stop) {
    stops.delete(id);
    useChat.setState((old) => {
      const { [id]: _, ...answering } = old.answering;
      return { answering };
    });
  }
}

type Draw = (old: Message) => Message;

/** Gathers events between two drawings and takes the times. */
class Pen {
  private readonly startedAt = performance.now();
  private firstAt: number | null = null;
  private pieces = 0;
  private tokens: number | null = null;
  private stopped = false;
  private waiting: ChatEvent[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly draw: (how: Draw) => void) {}

  get begun(): boolean {
    return this.firstAt !== null;
  }

  hear(event: ChatEvent, finish?: "stopped"): void {
    if (event.kind === "text" || event.kind === "reasoning") {
      this.firstAt ??= performance.now();
      this.pieces += 1;
    }
    if (event.kind === "usage") this.tokens = event.completionTokens;
    if (finish) this.stopped = true;
    this.waiting.push(event);
    this.timer ??= setTimeout(() => this.draw(this.flush()), DRAW_MS);
  }

  /** The last drawing, with the numbers. */
  finish(): Draw {
    const drawRest = this.flush();
    const durationS = (performance.now() - this.startedAt) / 1000;
    const { firstAt, pieces, stopped, tokens } = this;
    return (old) => {
      const message = drawRest(old);
      if (firstAt === null) return stopped ? { ...message, finish: "stopped" } : message;
      // One piece is an answer that came whole: it has no first token of its own.
      const ttftS = pieces > 1 ? (firstAt - this.startedAt) / 1000 : null;
      const stats = { ttftS, durationS, completionTokens: tokens };
      return { ...message, ...(stopped ? { finish: "stopped" as const } : {}), stats };
    };
  }

  private flush(): Draw {
    clearTimeout(this.timer);
    this.timer = undefined;
    const events = this.waiting;
    this.waiting = [];
    return (old) => events.reduce(hear, old);
  }
}
