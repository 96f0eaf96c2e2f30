import json
from pathlib import Path

import pytest

from orchestrator.library.verification.examine import SILENT, examine
from orchestrator.library.verification.inventory import take_stock
from orchestrator.library.verification.refusal import Refusal
from orchestrator.library.verification.tokenizer import check_tokenizer, count_pieces
from tests.honest_models import VOCAB, tokenizer_json, write_model

_PIECE = b"\x0a\x0a\x0a\x01a\x15\0\0\0\0\x18\x01"


def _check(folder: Path, vocab: int | None = VOCAB) -> tuple[str, ...]:
    return check_tokenizer(folder, take_stock(folder, SILENT.at), vocab, SILENT)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer.json": tokenizer_json().encode()},
        {"tokenizer.model": _PIECE * 300 + b"\x12\x04\x0a\x02ab"},
        {
            "vocab.json": json.dumps({str(number): number for number in range(300)}).encode(),
            "merges.txt": b"#version\n",
        },
        {"vocab.txt": b"[PAD]\n" + b"cat\ndog\n(x\n" * 80},
    ],
    ids=lambda files: next(iter(files)),
)
def test_check_tokenizer_passes_without_warning_when_tokenizer_is_honest(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert _check(tmp_path) == ()


@pytest.mark.parametrize("name", ["qwen.tiktoken", "tekken.json"])
def test_check_tokenizer_warns_when_tokenizer_cannot_be_tried(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"{}")
    assert len(_check(tmp_path)) == 1


def test_check_tokenizer_warns_when_vocabulary_is_much_larger(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    assert "vocabulary of 9,000" in _check(tmp_path, 9000)[0]


def test_check_tokenizer_warns_when_a_few_added_tokens_lie_beyond(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    (warning,) = _check(tmp_path, 261)
    assert "adds token 261" in warning


def test_count_pieces_counts_field_one_only() -> None:
    assert count_pieces("f", _PIECE * 3 + b"\x12\x01x\x18\x05\x25\0\0\0\0") == 3


@pytest.mark.parametrize("cut", range(1, len(_PIECE)))
def test_count_pieces_refuses_when_file_is_cut_off(cut: int) -> None:
    with pytest.raises(Refusal, match="sentencepiece"):
        count_pieces("f", _PIECE * 2 + _PIECE[:cut])


def test_examine_names_the_tokenizer_when_it_is_missing(tmp_path: Path) -> None:
    (write_model(tmp_path / "model") / "tokenizer.json").unlink()
    with pytest.raises(Refusal, match=r"tokenizer\.json is not there.*Add the tokenizer"):
        examine(tmp_path / "model")
