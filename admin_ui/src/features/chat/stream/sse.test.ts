import { describe, expect, it } from "vitest";

import { endSse, readSse, SSE_START, type SseEvent } from "./sse";

function readAll(chunks: string[]): SseEvent[] {
  let state = SSE_START;
  const all: SseEvent[] = [];
  for (const chunk of chunks) {
    const [next, events] = readSse(state, chunk);
    state = next;
    all.push(...events);
  }
  return [...all, ...endSse(state)];
}

const STREAM = 'event: catalog\r\ndata: [1,\r\ndata: 2]\r\n\r\n: comment\n\ndata: {"a":"é"}\n\ndata:[DONE]\n\n';
const EVENTS = [
  { event: "catalog", data: "[1,\n2]" },
  { event: "message", data: '{"a":"é"}' },
  { event: "message", data: "[DONE]" },
];

describe("readSse", () => {
  it("reads a whole stream", () => expect(readAll([STREAM])).toEqual(EVENTS));

  it("reads the same however the stream is cut in two", () => {
    for (let cut = 0; cut <= STREAM.length; cut += 1) {
      expect(readAll([STREAM.slice(0, cut), STREAM.slice(cut)])).toEqual(EVENTS);
    }
  });

  it("reads the same byte by byte", () => expect(readAll([...STREAM])).toEqual(EVENTS));

  it("says nothing for comments and unknown fields", () =>
    expect(readAll([": still here\n\nid: 7\nretry: 3\n\n"])).toEqual([]));

  it("takes off one leading space only", () =>
    expect(readAll(["data:  two\n\n"])).toEqual([{ event: "message", data: " two" }]));

  it("keeps a last event that lacks its empty line", () =>
    expect(readAll(["data: end"])).toEqual([{ event: "message", data: "end" }]));
});
