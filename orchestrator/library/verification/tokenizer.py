"""Is there a tokenizer, does it load and work, and does its vocabulary fit the model's?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.library.verification.budget import OutOfTimeError, Watch, cpu_budget
from orchestrator.library.verification.inventory import ModelFile, read_whole
from orchestrator.library.verification.refusal import Code, Refusal
from orchestrator.library.verification.strict_json import JsonFaultError, decode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LINE = "Hello, world! 1 + 1 = 2. 你好，世界。\n"
_LOAD_S, _LOAD_S_PER_MIB, _ENCODE_S = 0.6, 0.2, 0.4
"""CPU time on a slow core: the largest tokenizers (33 MB) load in two to three seconds there."""
_SLOW = (".model", ".tiktoken", "tekken.json")
_REMEDY = "Take the tokenizer that was published with these weights."


def check_tokenizer(folder: Path, files: Sequence[ModelFile], vocab: int | None, watch: Watch) -> tuple[str, ...]:
    """Warnings, each a sentence. `vocab` is the configuration's. Raises Refusal, OSError, MemoryError."""
    by_path = {file.path: file for file in files}
    fast = by_path.get("tokenizer.json")
    if fast is not None:
        watch.at(fast.path)
        return _check_fast(folder, fast, vocab, watch)
    pieces = next((file for file in files if "/" not in file.path and file.path.endswith(".model")), None)
    if pieces is not None:
        watch.at(pieces.path)
        return _check_count(pieces.path, count_pieces(pieces.path, read_whole(folder, pieces)), vocab)
    if "vocab.json" in by_path and "merges.txt" in by_path:
        watch.at("vocab.json")
        return _check_vocabulary(read_whole(folder, by_path["vocab.json"]), vocab)
    if "vocab.txt" in by_path:
        watch.at("vocab.txt")
        return _check_count("vocab.txt", len(read_whole(folder, by_path["vocab.txt"]).splitlines()), vocab)
    if any("/" not in path and path.endswith(_SLOW) for path in by_path):
        return ("The tokenizer is of a kind that is not loaded here: it was not tried.",)
    missing = "is not there, nor any other tokenizer (tokenizer.model, vocab.json with merges.txt, vocab.txt)"
    raise Refusal(Code.TOKENIZER, "tokenizer.json", missing, "Add the tokenizer that was published with the weights.")


def _check_fast(folder: Path, file: ModelFile, vocab: int | None, watch: Watch) -> tuple[str, ...]:
    from tokenizers import Tokenizer

    try:
        with cpu_budget(watch, _LOAD_S + _LOAD_S_PER_MIB * file.size_bytes / 2**20):
            tokenizer = Tokenizer.from_file(str(folder / file.path))
        with cpu_budget(watch, _ENCODE_S):
            ids = _try(tokenizer, file.path)
    except OutOfTimeError:
        raise Refusal(Code.TOKENIZER, file.path, "takes too long to load or to encode one line", _REMEDY) from None
    except (Refusal, MemoryError, OSError):
        raise
    except BaseException as error:  # the library raises bare Exception, and its panics are BaseException
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise Refusal(Code.TOKENIZER, file.path, f"does not work: {reason}", _REMEDY) from None
    return _check_ids(file.path, tokenizer, ids, vocab)


def _try(tokenizer: "Tokenizer", file: str) -> list[int]:
    ids: list[int] = tokenizer.encode(_LINE).ids
    if not ids or not isinstance(tokenizer.decode(ids), str):
        raise Refusal(Code.TOKENIZER, file, "makes no tokens of a line of text", _REMEDY)
    return ids


def _check_ids(file: str, tokenizer: "Tokenizer", ids: list[int], vocab: int | None) -> tuple[str, ...]:
    if vocab is None:
        return ()
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    largest = max(max(vocabulary.values(), default=0), max(ids))
    if largest >= vocab:
        what = f"has a token with the number {largest:,}, and config.json gives a vocabulary of {vocab:,}"
        raise Refusal(Code.TOKENIZER, file, what, _REMEDY)
    beyond = sorted(number for number in tokenizer.get_added_tokens_decoder() if number >= vocab)
    if len(beyond) > 64:
        what = f"adds {len(beyond):,} tokens beyond the vocabulary of {vocab:,} that config.json gives"
        raise Refusal(Code.TOKENIZER, file, what, _REMEDY)
    warnings = _small(file, len(vocabulary), vocab)
    # Gemma 3's text models come with such a token; no prompt contains it unless somebody writes it.
    return (*warnings, f"{file} adds token {beyond[0]:,}, beyond the vocabulary of {vocab:,}.") if beyond else warnings


def _small(file: str, count: int, vocab: int) -> tuple[str, ...]:
    return (f"{file} has {count:,} tokens for a vocabulary of {vocab:,}.",) if count * 2 < vocab else ()


def _check_count(file: str, count: int, vocab: int | None) -> tuple[str, ...]:
    if not count:
        raise Refusal(Code.TOKENIZER, file, "holds no tokens", _REMEDY)
    if vocab is not None and count > vocab:
        what = f"has {count:,} tokens, and config.json gives a vocabulary of {vocab:,}"
        raise Refusal(Code.TOKENIZER, file, what, _REMEDY)
    return _small(file, count, vocab) if vocab is not None else ()


def _check_vocabulary(data: bytes, vocab: int | None) -> tuple[str, ...]:
    file = "vocab.json"
    try:
        value = decode(data)
    except JsonFaultError as error:
        raise Refusal(Code.JSON, file, str(error), _REMEDY) from None
    if not isinstance(value, dict) or not all(type(each) is int and each >= 0 for each in value.values()):
        raise Refusal(Code.TOKENIZER, file, "is not a table of tokens and their numbers", _REMEDY)
    return _check_count(file, max(value.values(), default=-1) + 1, vocab)


def count_pieces(file: str, data: bytes) -> int:
    """Pieces in a sentencepiece model (protobuf; field 1, length-delimited, once a piece). Raises Refusal. PURE."""
    at = pieces = 0
    while at < len(data):
        tag, at = _varint(file, data, at)
        if tag & 7 == 2:
            length, at = _varint(file, data, at)
            at += length
        elif tag & 7 == 0:
            _, at = _varint(file, data, at)
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
        else:
            raise _no_pieces(file)
        pieces += tag >> 3 == 1
        if at > len(data) or tag >> 3 == 0:
            raise _no_pieces(file)
    return pieces


def _varint(file: str, data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _no_pieces(file)


def _no_pieces(file: str) -> Refusal:
    return Refusal(Code.TOKENIZER, file, "is not a sentencepiece model", _REMEDY)
