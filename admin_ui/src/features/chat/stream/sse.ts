/** Server-sent events off a byte stream, as the WHATWG HTML standard reads them. PURE. */

export interface SseEvent {
  /** "message" where the stream names none. */
  event: string;
  data: string;
}

export interface SseState {
  /** The last line, as far as it has come. */
  readonly rest: string;
  readonly event: string;
  readonly data: readonly string[];
}

export const SSE_START: SseState = { rest: "", event: "", data: [] };

/** Feed the next piece of text, cut wherever the network cut it. Returns what it completed. */
export function readSse(state: SseState, chunk: string): [SseState, SseEvent[]] {
  const text = state.rest + chunk;
  // A lone CR at the end may be half of a CRLF: it waits for the next piece.
  const settled = text.endsWith("\r") ? text.slice(0, -1) : text;
  const lines = settled.split(/\r\n|\n|\r/);
  const rest = (lines.pop() ?? "") + text.slice(settled.length);
  const events: SseEvent[] = [];
  let { event } = state;
  let data = [...state.data];
  for (const line of lines) {
    if (line === "") {
      if (data.length > 0) events.push({ event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      continue;
    }
    const [field, value] = splitField(line);
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
  }
  return [{ rest, event, data }, events];
}

/** What is left when the stream ends. Lenient: a last event without its empty line counts. */
export function endSse(state: SseState): SseEvent[] {
  return readSse(state, "\n\n")[1];
}

/** A comment (": still here") has the empty field name. */
function splitField(line: string): [field: string, value: string] {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  const value = line.slice(colon + 1);
  return [line.slice(0, colon), value.startsWith(" ") ? value.slice(1) : value];
}
