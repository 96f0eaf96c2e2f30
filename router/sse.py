"""The events of a stream of generated text, read and written in vLLM's form. PURE.

The form is that of `vllm/entrypoints/openai/{chat_completion,completion}/protocol.py`, one `data: {…}` an event.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

DATA = b"data: {"
DONE = b"data: [DONE]"
TOKEN_IDS = b'"token_ids":['
PROMPT_TOKEN_IDS = b'"prompt_token_ids":['
_CHAT_MIDDLE = b'},"logprobs":null,"finish_reason":null,"token_ids":'
_LAST_CHAT_MIDDLE = b'},"logprobs":null,"finish_reason":%b,"stop_reason":%b,"token_ids":'
_LAST_COMPLETION_MIDDLE = b',"logprobs":null,"finish_reason":%b,"stop_reason":%b,"prompt_token_ids":null,"token_ids":'
_COMPLETION_MIDDLE = _LAST_COMPLETION_MIDDLE % (b"null", b"null")
MALFORMED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What the decoders here raise."""


class StreamForm(Struct, frozen=True, kw_only=True):
    """What the client's stream looks like."""

    chat: bool
    """`chat.completion.chunk`; otherwise `text_completion`."""
    include_usage: bool
    wants_token_ids: bool


class PromptTokensDetails(Struct, gc=False):
    cached_tokens: int | None = None


class Usage(Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None


class Delta(Struct, gc=False):
    role: str | None = None
    content: str | None = None
    reasoning: Any = None
    tool_calls: Any = None

    @property
    def parsed(self) -> bool:
        """A reasoning or tool parser of the engine wrote this: its text is not that of the tokens beside it.

        Without a parser there is always `content`, if only an empty one.
        """
        return self.content is None or self.reasoning is not None or self.tool_calls is not None


class Choice(Struct, gc=False):
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: Raw = Raw(b"null")


class Error(Struct, gc=False):
    code: Any = None


class Chunk(Struct, gc=False):
    """A chunk of either API, or the error that takes the place of one."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: Error | None = None
    system_fingerprint: str | None = None


class _Name(Struct):
    id: str
    created: int
    model: str


decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_text = msgspec.json.Decoder(str).decode
_decode_name = msgspec.json.Decoder(_Name).decode
_encode = msgspec.json.encode


def count_ids(ids: bytes) -> int:
    """How many ids stand between the commas of `ids`."""
    return ids.count(b",") + 1 if ids else 0


class ChunkWriter:
    """Writes chunks of one stream, under the name that its first chunk bore. No event ends with its blank line."""

    __slots__ = ("_form", "_head", "middle", "opening")

    def __init__(self, form: StreamForm, first: bytes) -> None:
        """`first`: the stream's first event. Raises one of `MALFORMED`."""
        name = _decode_name(first[6:])
        kind = b"chat.completion.chunk" if form.chat else b"text_completion"
        head = b'data: {"id":%b,"object":"%b","created":%d,"model":%b,"choices":['
        self._form = form
        self._head = head % (_encode(name.id), kind, name.created, _encode(name.model))
        self.opening = self._head + (b'{"index":0,"delta":{"content":' if form.chat else b'{"index":0,"text":')
        """What an ordinary chunk has before its text."""
        self.middle = _CHAT_MIDDLE if form.chat else _COMPLETION_MIDDLE
        """What it has between its text and the value of `token_ids`."""

    def text(self, text: str, ids: bytes, choice: Choice, trailer: bytes = b"") -> bytes:
        """A chunk with `text`, made of the tokens `ids`, that ends as `choice` does."""
        middle = self.middle
        if choice.finish_reason is not None:
            # vLLM gives a chat's stop reason only with its last chunk.
            form = _LAST_CHAT_MIDDLE if self._form.chat else _LAST_COMPLETION_MIDDLE
            middle = form % (_encode(choice.finish_reason), bytes(choice.stop_reason))
        shown = b"[%b]" % ids if self._form.wants_token_ids else b"null"
        return b"%b%b%b%b}]%b}" % (self.opening, _encode(text), middle, shown, trailer)

    def no_choices(self, trailer: bytes) -> bytes:
        """The chunk that carries only usage."""
        return b"%b]%b}" % (self._head, trailer)


def trailer(chunk: Chunk, prompt_tokens: int, completion_tokens: int) -> bytes:
    """What stands after the choices of `chunk`, with these counts in place of its own."""
    end = b"" if chunk.system_fingerprint is None else b',"system_fingerprint":%b' % _encode(chunk.system_fingerprint)
    if chunk.usage is None:
        return end
    details = b""
    if chunk.usage.prompt_tokens_details is not None:
        # Of a continuation's prompt a part is the answer's beginning.
        cached = min(chunk.usage.prompt_tokens_details.cached_tokens or 0, prompt_tokens)
        details = b',"prompt_tokens_details":{"cached_tokens":%d}' % cached
    total = prompt_tokens + completion_tokens
    usage = b',"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d%b}%b'
    return usage % (prompt_tokens, total, completion_tokens, details, end)
