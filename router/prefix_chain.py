"""What identifies the beginning of a prompt: a chain of hashes over the bytes of its text. PURE.

The text of a prompt is brought into one form whatever API and JSON style it came in (`prompt_text`), and cut at fixed
places, `CUTS`. Block k of the chain is a hash of everything before cut k, so that two prompts have as many hashes in
common as they have whole blocks. Blocks are 256 bytes (some 60 tokens) and from 4 KiB on a tenth of what lies before
them: a chain grows with the logarithm of its prompt, and a match is short by less than a block.

Python's own hash is the hash: SipHash, keyed afresh in every process, at 1-2 bytes a nanosecond. Chains mean nothing
outside the process that made them.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

_BLOCK_BYTES = 256
_GROWTH = 10
_LONGEST_PROMPT_BYTES = 1 << 27
_LONGEST_SHOWN_CHARS = 4096
_ITEM_TEXTS = ("name", "arguments", "output", "summary")


def _cuts() -> Iterator[int]:
    at = 0
    while at < _LONGEST_PROMPT_BYTES:
        at += max(_BLOCK_BYTES, at // _GROWTH // _BLOCK_BYTES * _BLOCK_BYTES)
        yield at


CUTS = tuple(_cuts())
"""Bytes from the beginning at which blocks end."""
_FIRST_CUT = CUTS[0]


class PrefixChain:
    """Hashes of a text's whole blocks and what stands behind the last of them."""

    def __init__(self, hashes: tuple[int, ...], rest: bytes, size_bytes: int) -> None:
        """`rest`: the text after the last cut, for `extended`. `size_bytes`: length of the whole text."""
        self.hashes = hashes
        self.rest = rest
        self.size_bytes = size_bytes

    def extended(self, more: bytes) -> "PrefixChain":
        """The chain of the text followed by `more`."""
        return _chain(self.hashes, self.rest + more, self.size_bytes + len(more))


EMPTY = PrefixChain((), b"", 0)


def chain_of(text: bytes) -> PrefixChain:
    """The chain of `text`. Some 0.3 µs a block and 0.7 µs a KiB."""
    if len(text) < _FIRST_CUT:
        return PrefixChain((), text, len(text))
    return _chain((), text, len(text))


def _chain(known: tuple[int, ...], text: bytes, size: int) -> PrefixChain:
    """`text` begins where the last of the `known` blocks ends, and ends at `size`."""
    blocks = bisect_right(CUTS, size)
    if blocks == len(known):
        return PrefixChain(known, text, size)
    hashes = list(known)
    before = hashes[-1] if hashes else 0
    offset = at = CUTS[len(known) - 1] if known else 0
    for cut in CUTS[len(known) : blocks]:
        before = hash((before, text[at - offset : cut - offset]))
        hashes.append(before)
        at = cut
    return PrefixChain(tuple(hashes), text[at - offset :], size)


def turn(role: str, text: str) -> str:
    """One turn of a conversation, as `prompt_text` writes it."""
    return f"\x1e{role}\x1f{text}"


def prompt_text(*, messages: Any = None, prompt: Any = None, system: Any = None, tools: Any = None) -> bytes:
    """The text of a prompt in one form, from the decoded fields of a request of any API; unknown shapes are empty.

    messages: of OpenAI's chat or Responses API or of Anthropic's. prompt: of completions. system: instructions that
    stand outside the messages. tools: they stand before the messages in every chat template.
    """
    parts: list[str] = []
    if tools:
        parts.append(turn("tools", repr(tools)))
    if system:
        parts.append(turn("system", _content_text(system)))
    if isinstance(messages, str):
        parts.append(turn("user", messages))
    elif isinstance(messages, list):
        parts += [_message_text(message) for message in messages if isinstance(message, dict)]
    if prompt:
        parts.append(_content_text(prompt))
    return "".join(parts).encode("utf-8", "surrogatepass")


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else _content_text(content)
    calls = message.get("tool_calls")
    if calls:
        text += repr(calls)
    if content is None and not calls:
        # An item of the Responses API: a call of a tool, or what came of it.
        text = "".join(str(message[name]) for name in _ITEM_TEXTS if name in message)
    return f"\x1e{message.get('role', '')}\x1f{text}"


def _content_text(content: Any) -> str:
    """Text of a message's content: a string, parts of it, or token ids. Other parts count by what they are."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    if content and isinstance(content[0], int | list):
        return repr(content)
    return "".join([part if isinstance(part, str) else _part_text(part) for part in content])


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text")
    if isinstance(text, str):
        return text
    inner = part.get("content")
    # The result of a tool, in Anthropic's form, is text inside a part, and most of an agent's prompt.
    return _opaque({**part, "content": None}) + _content_text(inner) if inner else _opaque(part)


def _opaque(part: dict[str, Any]) -> str:
    """Stands for a picture or a sound: differs where its beginning, end or length does."""
    return repr({name: _shortened(value) for name, value in part.items()})


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if not isinstance(value, str) or len(value) <= _LONGEST_SHOWN_CHARS:
        return value
    half = _LONGEST_SHOWN_CHARS // 2
    return f"{value[:half]}{len(value)}{value[-half:]}"
