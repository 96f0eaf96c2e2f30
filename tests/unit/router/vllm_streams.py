"""Streams as vLLM 0.32 writes them, with its own incremental detokenizer over a vocabulary made up here."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models
from tokenizers.decoders import DecodeStream

END = 0
"""Ends an answer and has no text."""
_BYTES = 256
_WORDS = (b" the", b"ing", b"\n", b'"', b'"token_ids":[1]', b"\\", " 世界".encode(), b"\x98\x80", b"a\xf0\x9f", b", ")
VOCABULARY = (b"", *(bytes([byte]) for byte in range(_BYTES)), *_WORDS)
"""The bytes of each token: every single byte, so that characters come in halves, and some longer ones."""
WORDS = range(1 + _BYTES, len(VOCABULARY))
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "tiny"}
TEXT_HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "tiny"}


def _build_tokenizer() -> Tokenizer:
    letters = [chr(byte) for byte in range(_BYTES)]
    # The byte-level alphabet of GPT-2: bytes that print stand for themselves, the others for characters from 256 on.
    spare = iter(range(256, 512))
    for byte in range(_BYTES):
        if not (33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174):
            letters[byte] = chr(next(spare))
    vocabulary = {"".join(letters[byte] for byte in token): index for index, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


_TOKENIZER = _build_tokenizer()


def tokens(text: str) -> list[int]:
    """One token a byte."""
    return [1 + byte for byte in text.encode()]


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def role_event(prompt: Sequence[int] | None = None) -> bytes:
    """The first event of a chat; `prompt`: the ids, where they are asked for."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    return event({**HEAD, "choices": [choice], "prompt_token_ids": prompt, "prompt_text": None})


def chat_event(text: str, ids: Sequence[int] | None = None, finish: str | None = None, **more: Any) -> bytes:
    stop = {} if finish is None else {"stop_reason": None}
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish, **stop}
    return event({**HEAD, "choices": [{**choice, "token_ids": ids}], **more})


def text_event(
    text: str,
    ids: Sequence[int] | None = None,
    finish: str | None = None,
    prompt: Sequence[int] | None = None,
    **more: Any,
) -> bytes:
    """A chunk of `/v1/completions`; `prompt` is set in the first."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
    return event({**TEXT_HEAD, "choices": [{**choice, "prompt_token_ids": prompt, "token_ids": ids}], **more})


def usage_of(prompt: int, made: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "total_tokens": prompt + made, "completion_tokens": made}


def usage_event(prompt: int, made: int, *, chat: bool = True) -> bytes:
    return event({**(HEAD if chat else TEXT_HEAD), "choices": [], "usage": usage_of(prompt, made)})


def answer_events(
    prompt: Sequence[int],
    answer: Sequence[int],
    sizes: Iterator[int],
    *,
    chat: bool,
    ids: bool = True,
    limit: int | None = None,
) -> Iterator[bytes]:
    """The stream in which an engine answers `prompt` with the tokens `answer`, `sizes` of them a chunk.

    It ends after `END` (`stop`) or `limit` tokens (`length`).
    """
    stream = DecodeStream(ids=list(prompt), skip_special_tokens=True)
    made, whole = 0, answer[:limit]
    shown_prompt = list(prompt) if ids else None
    if chat:
        yield role_event(shown_prompt)
    while made < len(whole):
        chunk = list(whole[made : made + next(sizes)])
        text = "".join(stream.step(_TOKENIZER, token) or "" for token in chunk if token != END)
        made += len(chunk)
        finish = None
        if made == len(whole):
            finish = "stop" if chunk[-1] == END else "length"
        shown = chunk if ids else None
        if chat:
            yield chat_event(text, shown, finish)
        else:
            yield text_event(text, shown, finish, shown_prompt)
            shown_prompt = None
    yield usage_event(len(prompt), made, chat=chat)
    yield DONE
