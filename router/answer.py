"""What the router learns of an answer while it passes by: tokens, usage, text. PURE."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from router.sent_tokens import SentTokens

_LONGEST_READ_BYTES = 64 * 1024
_LONGEST_TEXT_BYTES = 64 * 1024


class Learnt(Struct, frozen=True):
    """Nothing is known of what is None or empty."""

    output_tokens: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    """Prompt tokens that the engine found in its cache."""
    text: str = ""
    """Of the answer, as the next request of the same conversation would repeat it."""


NOTHING = Learnt()


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    """OpenAI's names, those of its Responses API and Anthropic's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _Message(Struct):
    content: Any = None


class _Choice(Struct):
    message: _Message | None = None
    text: Any = None


class _Answer(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_NO_USAGE = _Usage()
_USAGE_WITHIN_BYTES = 400
_COUNTS = re.compile(rb'"(prompt|completion|input|output|cached)_tokens": ?(\d{1,9})').findall
_decoder = msgspec.json.Decoder(_Answer)


class WholeAnswer:
    """An answer that comes in one piece. `add` gives more of its body; long ones are not kept."""

    __slots__ = ("_fragments", "_size")

    def __init__(self) -> None:
        self._fragments: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """More of the body."""
        self._size += len(data)
        if self._size <= _LONGEST_READ_BYTES:
            self._fragments.append(data)

    def counted(self) -> Learnt:
        """What its usage says, without its text. Reads only the body's end, where engines write it."""
        if not self._fragments or self._size > _LONGEST_READ_BYTES:
            return NOTHING
        found = dict(_COUNTS(self._fragments[-1][-_USAGE_WITHIN_BYTES:]))
        output = found.get(b"completion") or found.get(b"output")
        prompt = found.get(b"prompt") or found.get(b"input")
        cached = found.get(b"cached")
        return Learnt(
            0 if output is None else int(output),
            None if prompt is None else int(prompt),
            None if cached is None else int(cached),
        )

    def learnt(self) -> Learnt:
        """What the whole body says; nothing if it is not of a known shape."""
        if self._size > _LONGEST_READ_BYTES:
            return NOTHING
        try:
            answer = _decoder.decode(self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return NOTHING
        usage = answer.usage or _NO_USAGE
        details = usage.prompt_tokens_details or usage.input_tokens_details
        text = ""
        if len(answer.choices) == 1:
            choice = answer.choices[0]
            found = choice.text if choice.message is None else choice.message.content
            text = found[:_LONGEST_TEXT_BYTES] if isinstance(found, str) else ""
        return Learnt(
            usage.completion_tokens or usage.output_tokens or 0,
            usage.prompt_tokens or usage.input_tokens,
            None if details is None else details.cached_tokens,
            text,
        )


def learnt_of_stream(sent: SentTokens) -> Learnt:
    """What the events of a stream have said."""
    usage = sent.usage
    cached = None
    if usage is not None and usage.prompt_tokens_details is not None:
        cached = usage.prompt_tokens_details.cached_tokens
    return Learnt(
        output_tokens=sent.output_tokens,
        prompt_tokens=sent.prompt_tokens,
        cached_tokens=cached,
        text=sent.text if sent.finish_reason is not None else "",
    )
