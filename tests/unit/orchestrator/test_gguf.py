import io
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ModelRejectedError
from orchestrator.library.gguf import explain, find_gguf, look
from orchestrator.library.gguf_header import BLOCKS, HeaderError, read_header
from orchestrator.library.gguf_support import facts_of, memory_fault
from tests.gguf_files import TINY, TOKENIZER, Hostile, Packed, hostile, tensors, unsupported

GOOD = Packed(tensors=tensors()).bytes()
_MEMORY_BYTES, _REFUSED_WITHIN_S = 512 * 2**20, 2.0


def named(case: Hostile) -> str:
    return case.name


async def test_look_at_a_whole_file_tells_what_the_conversion_takes(tmp_path: Path) -> None:
    facts = await look(Packed(tensors=tensors()).write(tmp_path / "a.gguf"))
    assert (facts.architecture, facts.quantisation) == ("llama", "BF16")
    assert facts.parameters == sum(each.elements for each in read_header(io.BytesIO(GOOD), len(GOOD)).tensors)
    assert facts.converted_bytes == 2 * facts.parameters < facts.memory_bytes


@pytest.mark.parametrize("case", [*hostile(), *unsupported()], ids=named)
async def test_look_refuses_with_the_reason_and_the_name_of_the_file(case: Hostile, tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match=rf"(?s)^evil\.gguf .*({case.reason})"):
        await look(case.packed.write(tmp_path / "evil.gguf"))


def test_look_at_hostile_files_takes_little_memory_and_time(tmp_path: Path) -> None:
    for number, case in enumerate(hostile()):
        case.packed.write(tmp_path / f"{number}.gguf")
    program = (
        "import asyncio, sys, time\n"
        "from pathlib import Path\n"
        "from orchestrator.errors import ModelRejectedError\n"
        "from orchestrator.library.gguf import look\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    began = time.process_time()\n"
        "    try: asyncio.run(look(path))\n"
        "    except ModelRejectedError: print(time.process_time() - began)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES)),
    )
    took_s = [float(line) for line in ran.stdout.split()]
    assert len(took_s) == len(list(hostile()))
    assert max(took_s) < _REFUSED_WITHIN_S


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8), st.integers(0, len(GOOD)))
def test_read_header_of_damaged_bytes_reads_or_refuses_and_nothing_else(at: int, wrong: bytes, end: int) -> None:
    damaged = (GOOD[:at] + wrong + GOOD[at + len(wrong) :])[:end]
    try:
        header = read_header(io.BytesIO(damaged), len(damaged))
        facts_of(header, "a.gguf", len(damaged))
    except (HeaderError, ModelRejectedError):
        pass


def test_types_of_tensors_are_those_of_the_reference() -> None:
    for number, (name, elements, size) in BLOCKS.items():
        kind = reference.GGMLQuantizationType(number)
        assert (kind.name, *reference.GGML_QUANT_SIZES[kind]) == (name, elements, size)


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ({}, False),
        ({"tokenizer.ggml.add_bos_token": True}, True),
        ({"tokenizer.ggml.model": "llama"}, True),
        ({"tokenizer.ggml.model": "llama", "tokenizer.ggml.add_bos_token": False}, False),
    ],
)
async def test_look_tells_whether_a_text_begins_with_a_token(
    pairs: dict[str, Any], wanted: bool, tmp_path: Path
) -> None:
    facts = await look(Packed(TINY | TOKENIZER | pairs, tensors()).write(tmp_path / "a.gguf"))
    assert facts.adds_bos is wanted


def test_find_gguf_takes_the_only_file_of_a_folder_without_safetensors(tmp_path: Path) -> None:
    assert find_gguf(tmp_path) is None
    (tmp_path / "a.gguf").touch()
    assert find_gguf(tmp_path) == tmp_path / "a.gguf"
    (tmp_path / "a.safetensors").touch()
    assert find_gguf(tmp_path) is None


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a.Q4_0.gguf", "b.gguf"), r"2 GGUF files.*as in .*/a\.Q4_0\.gguf\. They are a\.Q4_0\.gguf, b\.gguf"),
        (("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"), "one of 2 parts.*--merge"),
        (("a-00001-of-00002.gguf",), "one of 2 parts"),
    ],
)
def test_find_gguf_of_several_says_how_to_pick(names: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ModelRejectedError, match=reason):
        find_gguf(tmp_path)


async def test_memory_fault_names_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    facts = await look(Packed(tensors=tensors()).write(tmp_path / "a.gguf"))
    assert memory_fault(facts, 8 * 2**30) is None
    assert "needs some 2 GiB of memory to be converted and 0.5 GiB are free" in str(memory_fault(facts, 2**29))


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        (5, b"noise\nlacks a tensor", "a.gguf lacks a tensor. Take"),
        (6, b"", "takes more than the 1.0 GiB"),
        (1, b"ValueError: x", "cannot be converted by Transformers: ValueError: x"),
        (-24, b"", "s of CPU time"),
        (-9, b"", "short of memory"),
        (-11, b"", "SIGSEGV"),
    ],
)
async def test_explain_says_why_a_conversion_ended(status: int, told: bytes, reason: str, tmp_path: Path) -> None:
    facts = await look(Packed(tensors=tensors()).write(tmp_path / "a.gguf"))
    assert reason in explain(status, told, "a.gguf", facts)
