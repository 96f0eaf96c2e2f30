"""What a stream has carried to its client, and where a second replica can go on with it. PURE.

vLLM writes `"token_ids":null` where ids are not asked for. So ids that only the router asked for become `null` on
their way: the client's bytes are those that it would have had without us.

Where a lost answer may be cut
------------------------------
A continuation's prompt is the first prompt and the tokens generated so far; its text is what vLLM's incremental
detokenizer (`vllm/v1/engine/detokenizer.py`) makes of the tokens after them. Started on a prompt that ends in half a
character, the detokenizer writes the *whole prompt* out once the character is complete (`DecodeStream`), or loses the
character (the slow one). It emits text only when all that it has read ends in a whole character, and one that starts
there goes on just alike: the prompt gives it at least as much context, so leading spaces come out right too. An
answer is therefore cut only after a token that made text appear:

- A chunk of one token with text ends in such a token.
- A chunk of several tokens (vLLM merges outputs when its event loop is late) may end in half a character. Its end is
  used only if its last token has made text alone right after a cut before: then the token holds whole characters
  itself, whatever stands before it.
- Otherwise the cut stays where it was. The continuation generates again what the client has already read, which is
  compared and left out. Where it differs, as only sampling or rounding can make it, the answer has `diverged`.

Tokens after the cut that made no text yet are generated again as well.
"""

from router.sse import (
    DATA,
    DONE,
    MALFORMED,
    PROMPT_TOKEN_IDS,
    TOKEN_IDS,
    Choice,
    Chunk,
    ChunkWriter,
    Error,
    StreamForm,
    Usage,
    count_ids,
    decode_chunk,
    decode_text,
    trailer,
)

LONGEST_TEXT_BYTES = 64 * 1024
"""How much of an answer's text is kept."""
_LONGEST_AHEAD_CHARS = 64 * 1024
_WATCHED = StreamForm(chat=True, include_usage=False, wants_token_ids=True)


class SentTokens:
    """Reads a stream's events before they are written to the client.

    With a `form` the stream is one that may be continued (`continuation.Continuable`); without, it is only watched.
    """

    __slots__ = (
        "_ahead",
        "_at",
        "_cut",
        "_due_ids",
        "_elsewhere",
        "_form",
        "_held",
        "_ids",
        "_prompt_ids",
        "_text",
        "_traced",
        "_two_events",
        "_usage_sent",
        "_writer",
        "began",
        "done",
        "failed",
        "finish_reason",
        "kept_tokens",
        "output_tokens",
        "untraceable",
        "usage",
    )

    def __init__(self, form: StreamForm | None = None) -> None:
        self.began = False
        """The client has been given something."""
        self.output_tokens = 0
        """Tokens generated so far; without ids, events with text."""
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        """The engine's latest count."""
        self.done = False
        """`[DONE]` has passed."""
        self.failed: str | None = None
        """Why nothing is passed on any more although the replica still writes: `engine_error` (it has sent an error
        event), `aborted` (it has dropped the request), `diverged`, `malformed`."""
        self.untraceable: str | None = None
        """Why the answer cannot be continued: `parsed`, `no_token_ids`, `too_far_ahead`, `diverged`, `refused`,
        `malformed`."""
        self.kept_tokens = 0
        """Tokens before the cut."""
        self._form = form or _WATCHED
        self._traced = form is not None
        self._writer: ChunkWriter | None = None
        self._two_events = 0  # more bytes are surely more than one ordinary chunk; 0: none is ordinary
        self._usage_sent = False
        self._held = b""
        self._elsewhere = False
        self._prompt_ids: bytes | None = None
        # Every id of the answer after a comma; after a comma and a blank where it made text alone right after a cut.
        # Blanks are JSON, so this can stand in a prompt as it is.
        self._ids = bytearray()
        self._cut = 0
        # Text that the client has beyond the cut, and how far the tokens beyond the cut have come in it.
        self._ahead = ""
        self._at = 0
        self._due_ids: list[bytes] = []
        self._text = bytearray()

    @property
    def text(self) -> str:
        """The answer's text, or its first 64 KiB; of several choices all together."""
        return self._text.decode("utf-8", "ignore")

    @property
    def prompt_tokens(self) -> int | None:
        """Length of the first prompt, if it is known yet."""
        if self._prompt_ids is not None:
            return count_ids(self._prompt_ids)
        return None if self.usage is None else self.usage.prompt_tokens

    @property
    def ids_to_the_cut(self) -> bytes | None:
        """Ids of the first prompt and of the answer before the cut, between commas; None if they are not known."""
        if self._prompt_ids is None or self.untraceable is not None:
            return None
        return self._prompt_ids + self._ids[: self._cut]

    def pass_on(self, data: bytes) -> bytes:
        """The bytes for the client in place of `data`, a run of whole events (`failover.EventTail`).

        Nothing once `failed` is set. The event that only names the role waits for the first token, so that the
        request can still be sent anew if the replica is lost between the two.
        """
        if self.failed is not None:
            return b""
        if len(data) < self._two_events:
            ordinary = self._read_ordinary(data, b"]}]}\n\n")
            if ordinary is not None:
                return ordinary
        if data.endswith(b"\r\n"):
            data = data.replace(b"\r\n", b"\n")
        events = data.split(b"\n\n")
        if not self._traced:
            for event in events:
                self._watch(event)
            return data
        data = b"\n\n".join(self._read_all(events))
        if not self.began:
            self._held += data
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        return data

    def rewind(self) -> None:
        """Back to the cut: what comes next are the events of a continuation, an answer of `/v1/completions`."""
        if self._form.wants_token_ids:
            # This client has seen the ids beyond the cut, and is not told them twice.
            beyond = bytes(self._ids[self._cut :]).replace(b" ", b"")
            self._due_ids = beyond.split(b",")[1:] + self._due_ids
        del self._ids[self._cut :]
        self.output_tokens = self.kept_tokens
        self._at = self._two_events = 0
        self._elsewhere = True
        self.failed = None

    def closing(self, finish_reason: str | None = None) -> bytes:
        """The events that the client lacks of a whole stream. `finish_reason`: what to say if nothing was said yet."""
        events = []
        if self._writer is not None:
            if finish_reason is not None and self.finish_reason is None:
                events.append(self._writer.text("", b"", Choice(finish_reason=finish_reason)))
            if self._form.include_usage and not self._usage_sent:
                events.append(self._writer.no_choices(self._trailer(Chunk(usage=Usage()))))
        if not self.done:
            events.append(DONE)
        return b"".join(event + b"\n\n" for event in events)

    # Events

    def _watch(self, event: bytes) -> None:
        """Counts an event of a stream that is not traced."""
        if event.startswith(DATA):
            try:
                chunk = decode_chunk(event[6:])
            except MALFORMED:
                return
            if chunk.usage is not None:
                self.usage = chunk.usage
            for choice in chunk.choices:
                text = choice.text if choice.delta is None else choice.delta.content
                if text:
                    self.output_tokens += 1
                    self._keep(text)
                if choice.finish_reason is not None:
                    self.finish_reason = choice.finish_reason
        elif event == DONE:
            self.done = True
        self.began = True

    def _read_all(self, events: list[bytes]) -> list[bytes]:
        """The events for the client; the last is always empty."""
        read = []
        for event in events:
            if event.startswith(DATA):
                shown = self._read_ordinary(event, b"]}]}") if self._two_events else None
                shown = shown or self._read(event)
                if shown is not None:
                    read.append(shown)
                elif self.failed is not None:
                    return [*read, b""]
                continue
            if event == DONE:
                self.done = self.began = True
            read.append(event)
        return read

    def _read(self, event: bytes) -> bytes | None:
        """The event for the client in place of this one; None for none."""
        try:
            chunk = decode_chunk(event[6:])
            if chunk.error is not None:
                return self._read_error(event, chunk.error)
            if self._writer is None:
                self._writer = ChunkWriter(self._form, event)
        except MALFORMED:
            return self._read_malformed(event)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if not chunk.choices:
            self._usage_sent = self._usage_sent or chunk.usage is not None
            return self._writer.no_choices(self._trailer(chunk)) if self._elsewhere else event
        choice = chunk.choices[0]
        if choice.finish_reason == "abort":
            # An engine's word for a request that it drops itself, as it does when it stops.
            self.failed = "aborted"
            return None
        return self._read_choice(event, chunk, choice)

    def _read_malformed(self, event: bytes) -> bytes | None:
        self.began, self.untraceable = True, "malformed"
        if not self._elsewhere:
            return event
        self.failed = "malformed"
        return None

    def _read_error(self, event: bytes, error: Error) -> bytes | None:
        if isinstance(error.code, int) and 400 <= error.code < 500:
            # The request's own fault: it would fare no better elsewhere.
            self.began, self.untraceable = True, "refused"
            return event
        self.failed = "engine_error"
        return None

    def _read_choice(self, event: bytes, chunk: Chunk, choice: Choice) -> bytes | None:
        if self._prompt_ids is None:
            event, self._prompt_ids = self._take_ids(event, PROMPT_TOKEN_IDS)
        event, ids = self._take_ids(event, TOKEN_IDS)
        delta = choice.delta
        if delta is None:
            text = choice.text or ""
        else:
            text = delta.content or ""
            if delta.role is not None and not text and choice.finish_reason is None:
                return event
            if delta.parsed:
                self.untraceable = "parsed"
        self.began = True
        new = self._record(ids or b"", text)
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if new:
            self._keep(new)
        if self._elsewhere:
            return self._translate(new, ids or b"", chunk, choice)
        if not self._two_events and self._writer is not None and self.untraceable is None:
            self._two_events = 2 * len(self._writer.opening + self._writer.middle)
        return event

    def _take_ids(self, event: bytes, key: bytes) -> tuple[bytes, bytes | None]:
        """The event with the ids under `key` only if the client wants them, and those ids; None without the key.

        Searched for as bytes: within a JSON string the quotes of `key` would be escaped.
        """
        at = event.rfind(key)
        if at < 0:
            return event, None
        at += len(key)
        end = event.index(b"]", at)
        ids = event[at:end]
        if self._form.wants_token_ids:
            return event, ids
        return b"%bnull%b" % (event[: at - 1], event[end + 1 :]), ids

    def _read_ordinary(self, event: bytes, end: bytes) -> bytes | None:
        """`_read` for a chunk of one token with text in vLLM's very words, up to `end`; None for any other event.

        Most events of a stream are such chunks, and `_read` takes three times as long.
        """
        writer = self._writer
        if writer is None or self._ahead:
            return None
        start, middle, rest = event.rpartition(writer.middle)
        ids = rest[1 : -len(end)]
        if not (start.startswith(writer.opening) and rest.endswith(end) and ids.isdigit()):
            return None
        try:
            text = decode_text(start[len(writer.opening) :])
        except MALFORMED:
            return None
        if not text:
            return None
        self._ids += b", " if len(self._ids) == self._cut else b","
        self._ids += ids
        self._cut = len(self._ids)
        self.output_tokens += 1
        self.kept_tokens = self.output_tokens
        if len(self._text) < LONGEST_TEXT_BYTES:
            self._text += text.encode()
        return event if self._form.wants_token_ids else b"%b%bnull%b" % (start, middle, end[1:])

    # The cut

    def _record(self, ids: bytes, text: str) -> str | None:
        """Takes down a chunk; what of its text is new to the client, None if the client was told otherwise."""
        if not ids and text:
            self.output_tokens += 1
            self.untraceable = self.untraceable or "no_token_ids"
            if self._elsewhere:
                return None
        if self.untraceable is not None:
            self.output_tokens += count_ids(ids)
            return text
        ends_whole = self._add_ids(ids, text)
        if not ends_whole or self._ahead:
            return self._record_beyond_cut(text, ends_whole=ends_whole)
        self._cut, self.kept_tokens = len(self._ids), self.output_tokens
        return text

    def _add_ids(self, ids: bytes, text: str) -> bool:
        """Whether the last of `ids`, which make `text`, is one to cut after."""
        if not ids:
            return False
        count = ids.count(b",") + 1
        self.output_tokens += count
        if count == 1:
            self._ids += b", " if text and len(self._ids) == self._cut else b","
            self._ids += ids
            return text != ""
        self._ids += b"," + ids
        return text != "" and b", %b," % ids[ids.rfind(b",") + 1 :] in self._ids

    def _record_beyond_cut(self, text: str, *, ends_whole: bool) -> str | None:
        due = self._ahead[self._at :]
        if not due.startswith(text[: len(due)]):
            return None
        new = text[len(due) :]
        self._ahead += new
        self._at += len(text)
        if ends_whole:
            self._ahead, self._at = self._ahead[self._at :], 0
            self._cut, self.kept_tokens = len(self._ids), self.output_tokens
        elif len(self._ahead) > _LONGEST_AHEAD_CHARS:
            self.untraceable = "too_far_ahead"
        return new

    def _keep(self, text: str) -> None:
        if len(self._text) < LONGEST_TEXT_BYTES:
            self._text += text.encode()

    # Elsewhere

    def _translate(self, new: str | None, ids: bytes, chunk: Chunk, choice: Choice) -> bytes | None:
        """A continuation's chunk as one of the first stream; None if the client has all of it."""
        fresh = ids.split(b",") if ids and self._form.wants_token_ids else []
        known = min(len(fresh), len(self._due_ids))
        alike = new is not None and fresh[:known] == self._due_ids[:known]
        del self._due_ids[:known]
        ended_early = choice.finish_reason is not None and (self._at < len(self._ahead) or self._due_ids)
        if new is None or not alike or ended_early:
            self.failed = self.untraceable = "diverged"
            return None
        if self._writer is None or not (new or fresh[known:] or choice.finish_reason is not None):
            return None
        return self._writer.text(new, b",".join(fresh[known:]), choice, self._trailer(chunk))

    def _trailer(self, chunk: Chunk) -> bytes:
        return trailer(chunk, self.prompt_tokens or 0, self.output_tokens)
