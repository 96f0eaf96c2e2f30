"""What the router learns of an answer while it passes by: tokens, usage, text. PURE."""

from router.bodies import MALFORMED, Usage, decode_answer, decode_counted
from router.sent_tokens import SentTokens

_LONGEST_READ_BYTES = 64 * 1024
_LONGEST_TEXT_CHARS = 64 * 1024


class Learnt:
    """Nothing is known of what is None or empty."""

    def __init__(
        self,
        output_tokens: int = 0,
        prompt_tokens: int | None = None,
        cached_tokens: int | None = None,
        text: str = "",
        finish_reason: str = "",
    ) -> None:
        self.output_tokens = output_tokens
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = cached_tokens
        """Prompt tokens that the engine found in its cache."""
        self.text = text
        """Of the answer, as the next request of the same conversation would repeat it."""
        self.finish_reason = finish_reason
        """In the engine's words; empty also where only the usage was read."""


NOTHING = Learnt()


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
        """What its usage says, without its text."""
        try:
            usage = decode_counted(self._body()).usage
        except MALFORMED:
            return NOTHING
        return NOTHING if usage is None else _learnt(usage)

    def learnt(self) -> Learnt:
        """What the whole body says; nothing if it is not of a known shape."""
        try:
            answer = decode_answer(self._body())
        except MALFORMED:
            return NOTHING
        text = finish = ""
        if len(answer.choices) == 1:
            choice = answer.choices[0]
            found = choice.text if choice.message is None else choice.message.content
            text = found[:_LONGEST_TEXT_CHARS] if isinstance(found, str) else ""
            finish = choice.finish_reason if isinstance(choice.finish_reason, str) else ""
        return _learnt(answer.usage or _NO_USAGE, text, finish)

    def _body(self) -> bytes:
        """Empty, which is no JSON, for one that was not kept."""
        if self._size > _LONGEST_READ_BYTES:
            return b""
        return self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)


_NO_USAGE = Usage()


def _learnt(usage: Usage, text: str = "", finish_reason: str = "") -> Learnt:
    details = usage.prompt_tokens_details or usage.input_tokens_details
    return Learnt(
        usage.completion_tokens or usage.output_tokens or 0,
        usage.prompt_tokens or usage.input_tokens,
        None if details is None else details.cached_tokens,
        text,
        finish_reason,
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
        finish_reason=sent.finish_reason or "",
    )
