"""What the router learns of an answer while it passes by: tokens, usage, text. PURE."""

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
    cached_tokens: Any = None


class _Usage(Struct):
    """OpenAI's names, those of its Responses API and Anthropic's."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
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


_decoder = msgspec.json.Decoder(_Answer)


class WholeAnswer:
    """An answer that comes in one piece."""

    __slots__ = ("_fragments", "_size")

    def __init__(self) -> None:
        self._fragments: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """More of the body. Long ones are not kept."""
        self._size += len(data)
        if self._size <= _LONGEST_READ_BYTES:
            self._fragments.append(data)

    def learnt(self) -> Learnt:
        """What the whole body says."""
        if self._size > _LONGEST_READ_BYTES:
            return NOTHING
        try:
            answer = _decoder.decode(b"".join(self._fragments))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return NOTHING
        usage = answer.usage or _Usage()
        details = usage.prompt_tokens_details or usage.input_tokens_details
        return Learnt(
            output_tokens=_count(usage.completion_tokens) or _count(usage.output_tokens) or 0,
            prompt_tokens=_count(usage.prompt_tokens) or _count(usage.input_tokens),
            cached_tokens=None if details is None else _count(details.cached_tokens),
            text=_text(answer.choices),
        )


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _text(choices: list[_Choice]) -> str:
    if len(choices) != 1:
        return ""
    choice = choices[0]
    text = choice.text if choice.message is None else choice.message.content
    return text[:_LONGEST_TEXT_BYTES] if isinstance(text, str) else ""


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
