"""Shapes of the JSON that the router reads of requests and answers, and their decoders. PURE.

What is only hashed or passed on stays `Raw`, as it was written: making text of it and bytes of that again is what
reading a prompt would cost most. Not compiled: mypyc does not see msgspec's class options.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

NOTHING = Raw(b"")
"""A field that is not there. Always this very object."""


class RequestBody(Struct, gc=False):
    """A request to any of the APIs that generate. Its prompt is not looked into."""

    # Any: a wrong type must give our sentence, and `null` is what some clients send for "not set". What is wrong
    # elsewhere is the engine's to say.
    model: Any = None
    stream: Any = None
    messages: Raw = NOTHING
    prompt: Raw = NOTHING
    input: Raw = NOTHING
    system: Raw = NOTHING
    instructions: Raw = NOTHING
    tools: Raw = NOTHING
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    user: Any = None
    prompt_cache_key: Any = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class Usage(Struct, gc=False):
    """OpenAI's names, those of its Responses API and Anthropic's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _AnswerMessage(Struct, gc=False):
    content: Any = None


class _AnswerChoice(Struct, gc=False):
    message: _AnswerMessage | None = None
    text: Any = None
    finish_reason: Any = None


class CountedAnswer(Struct, gc=False):
    """Of an answer in one piece, what its usage says."""

    usage: Usage | None = None


class AnswerBody(CountedAnswer, gc=False):
    """An answer in one piece."""

    choices: list[_AnswerChoice] = []


MALFORMED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What decoders raise: `msgspec.ValidationError` among them, for JSON of another shape."""
decode_request = msgspec.json.Decoder(RequestBody).decode
decode_answer = msgspec.json.Decoder(AnswerBody).decode
decode_counted = msgspec.json.Decoder(CountedAnswer).decode
