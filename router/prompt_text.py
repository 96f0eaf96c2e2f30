"""The text of a prompt, as its client wrote it. PURE.

Requests of one conversation come from one program, which writes what was said before as it wrote it the last time: so
the JSON itself is what they have in common, and nothing of it need be read. Taken out is only what such programs move,
the marks of Anthropic's prompt cache, and what is no text, the data of pictures and sounds.
"""

import json
import re
from typing import Any

import msgspec

from router.bodies import NOTHING, RequestBody

_EMPTY = (b"", b"null", b'""', b"[]", b"{}")
_LONGEST_EMPTY = 4
_OPENING_BYTES = 16
_encode = msgspec.json.encode

_MARK = b'"cache_control"'
_MARKED_BYTES = 120
"""The newest mark is at the end of the newest message."""
_MARKS = re.compile(rb',\s*"cache_control"\s*:\s*(?:null|\{[^{}]*\})')
_LONG_BYTES = 16 * 1024
_DATA = re.compile(rb'"(?:data:[^",\\]{1,100},)?[A-Za-z0-9+/_-]{4096,}={0,2}"')
"""Of pictures and sounds, in base64."""
_SHOWN_DATA_BYTES = 4096
"""As much text as a picture's tokens are, by and large."""

_UTF8_TURNS = (
    (b'[{"role":"', b',{"role":"assistant","content":%b}'),
    (b'[{"content":', b',{"content":%b,"role":"assistant"}'),
)
_ASCII_TURNS = (
    (b'[{"role": "', b', {"role": "assistant", "content": %b}'),
    (b'[{"content": ', b', {"content": %b, "role": "assistant"}'),
)
"""How messages begin, and how an answer stands behind them. The common JSON libraries write compact UTF-8, as those of
JavaScript and OpenAI's client, or ASCII with spaces, as Python's own."""


def read_prompt(body: RequestBody) -> tuple[bytes, bytes]:
    """The text of a request's prompt, whatever its API, and how its messages begin.

    The text lacks its last bracket or quote, so that the next one's begins with it. Tools and instructions that stand
    outside the messages go before them, as in every chat template. The second is for `answered`; it is empty where the
    prompt is no conversation.
    """
    messages = given(body.messages) or given(body.input)
    prompt = messages or given(body.prompt)
    text = prompt[:-1].rstrip() if prompt.endswith(b"]") else prompt[:-1]
    if before := given(body.tools) + (given(body.system) or given(body.instructions)):
        text = before + text
    if text.find(_MARK, max(0, len(text) - _MARKED_BYTES)) >= 0:
        text = _MARKS.sub(b"", text)
    if len(text) > _LONG_BYTES:
        text = _DATA.sub(_shortened, text)
    return text, messages[:_OPENING_BYTES]


def answered(opening: bytes, text: str) -> bytes:
    """What stands behind a prompt in the next one that has its answer, too.

    More of the same text if the prompt is no conversation; nothing if it is not known how its client writes messages.
    """
    if not opening:
        return bytes(_encode(text))[1:-1]
    for beginning, turn in _ASCII_TURNS:
        if opening.startswith(beginning):
            return turn % json.dumps(text).encode()
    for beginning, turn in _UTF8_TURNS:
        if opening.startswith(beginning):
            return turn % bytes(_encode(text))
    return b""


def given(field: Any) -> bytes:
    """The JSON of a field, a `Raw`; empty where nothing is in it."""
    if field is NOTHING:
        return b""
    data = bytes(field)
    return b"" if len(data) <= _LONGEST_EMPTY and data in _EMPTY else data


def _shortened(data: re.Match[bytes]) -> bytes:
    """Differs where beginning, end or length of the data do."""
    half = _SHOWN_DATA_BYTES // 2
    whole = data[0]
    return b"%b%d%b" % (whole[:half], len(whole), whole[-half:])
