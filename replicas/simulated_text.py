"""Tokens and answers of the simulated engine: everything is a function of the prompt. PURE.

A token is a run of at most `TOKEN_BYTES` bytes of UTF-8 that ends where a word does. Its id holds those bytes, so ids
turn back into text without a vocabulary.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import sqrt

from msgspec import Struct

TOKEN_BYTES = 6
"""The id of a token is then below 2**49: exact in JSON for every reader."""
_WORD = re.compile(r"\s?\w+|\s?[^\w\s]|\s")
_MARKER = 1
_OPENING = "[simulated]"
_NOTE = " This answer was made by the simulated engine, not by a model."
_QUOTED_CHARACTERS = 400


def tokenize(text: str) -> list[int]:
    """Token ids of `text`; `detokenize` gives back the same text."""
    return [_token_id(piece) for word in _WORD.findall(text) for piece in _pieces(word)]


def _pieces(word: str) -> Iterable[bytes]:
    piece = b""
    for character in word:
        encoded = character.encode("utf-8", "replace")
        if len(piece) + len(encoded) > TOKEN_BYTES:
            yield piece
            piece = b""
        piece += encoded
    if piece:
        yield piece


def _token_id(piece: bytes) -> int:
    return int.from_bytes(bytes([_MARKER]) + piece, "big")


def detokenize(tokens: Iterable[int]) -> str:
    """The text of `tokens`; ids that `tokenize` cannot make stand as U+FFFD."""
    return "".join(token_text(token) for token in tokens)


def token_text(token: int) -> str:
    """The text of one token."""
    if token < 0:
        return "\ufffd"
    encoded = token.to_bytes((token.bit_length() + 7) // 8, "big")
    if len(encoded) < 2 or encoded[0] != _MARKER:
        return "\ufffd"
    return encoded[1:].decode("utf-8", "replace")


def answer_text(question: str) -> str:
    """What the simulated engine says to `question`."""
    quoted = question.strip()[:_QUOTED_CHARACTERS]
    asked = f"You asked: {quoted}" if quoted else "You asked nothing."
    end = "" if asked[-1] in ".?!。？！" else "."
    return f"{_OPENING} {asked}{end}{_NOTE}"


ANSWER_FOLLOWS = "<assistant>\n"
_END_OF_TURN = "</>\n"
_QUESTION = re.compile(f"<user>\n(.*?){_END_OF_TURN}", re.DOTALL)


def turn(role: str, text: str) -> list[int]:
    """The tokens of one message of a chat, whatever stands before and after it."""
    return tokenize(f"<{role}>\n") + tokenize(text) + tokenize(_END_OF_TURN)


def recall(prompt: Sequence[int]) -> tuple[str, int]:
    """The question that a prompt of token ids asks, and how many tokens of its answer the prompt ends with.

    Every answer begins with the same tokens and is a function of the question, so a prompt that ends inside one shows
    it. The question is a chat's last one, or else the whole prompt before the answer.
    """
    opening = tokenize(_OPENING)
    for start in range(len(prompt) - 1, -1, -1):
        said = list(prompt[start:])
        if said[: len(opening)] == opening[: len(said)]:
            question = _question(prompt[:start])
            if _answer_tokens(question, len(said))[: len(said)] == said:
                return question, len(said)
    return _question(prompt), 0


def _question(prompt: Sequence[int]) -> str:
    text = detokenize(prompt)
    if not text.endswith(ANSWER_FOLLOWS):
        return text
    questions = _QUESTION.findall(text)
    return str(questions[-1]) if questions else ""


def _answer_tokens(question: str, at_least: int) -> list[int]:
    """The answer, repeated until it has so many tokens."""
    text = answer_text(question)
    tokens = tokenize(text)
    while len(tokens) < at_least:
        tokens += tokenize(f" {text}")
    return tokens


class Answer(Struct, frozen=True, kw_only=True):
    """What will be said, token by token."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    """One for each token; one empty text where a stop string ends the answer before it begins."""
    finish_reason: str
    """`stop` or `length`, as OpenAI's API has it."""
    stop: str | None = None
    """The stop string that ended it."""


def make_answer(
    question: str, max_tokens: int, stop: Sequence[str] = (), ignore_eos: bool = False, said: int = 0
) -> Answer:
    """The answer to `question` from its token `said` on, at most `max_tokens` long.

    With `ignore_eos` the answer repeats until it has that length. A stop string ends the answer before it.
    """
    text, matched = answer_text(question), None
    again = f" {text}" if ignore_eos else ""
    for word in stop:
        at = (text + again).find(word) if word else -1
        if at >= 0:
            text, again, matched, ignore_eos = (text + again)[:at], "", word, False
    end = said + max_tokens
    tokens = _answer_tokens(question, end) if ignore_eos else tokenize(text)
    cut = len(tokens) > end or ignore_eos
    tokens = tokens[said:end]
    return Answer(
        tokens=tuple(tokens),
        texts=tuple(token_text(token) for token in tokens) or ("",),
        finish_reason="length" if cut else "stop",
        stop=None if cut else matched,
    )


def block_hashes(tokens: Sequence[int], block_tokens: int) -> tuple[int, ...]:
    """One 64-bit hash for each full block of `tokens`; each depends on everything before it."""
    hashes: list[int] = []
    parent = b""
    for start in range(0, len(tokens) - block_tokens + 1, block_tokens):
        block = b"".join(token.to_bytes(8, "big") for token in tokens[start : start + block_tokens])
        parent = blake2b(parent + block, digest_size=8).digest()
        hashes.append(int.from_bytes(parent, "big"))
    return tuple(hashes)


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector of `dimensions` numbers; texts that share words lie closer together."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = zlib.crc32(word.encode("utf-8", "replace"))
        vector[digest % dimensions] += 1.0 if digest & 0x80000000 else -1.0
    length = sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]
