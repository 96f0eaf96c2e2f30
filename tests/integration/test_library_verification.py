"""The verification in its limited process: time, memory, network, and what is said of a process that was ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import HostError, ModelRejectedError
from orchestrator.library.verification.examine import examine
from orchestrator.library.verification.facts import Accepted, Refused, Verdict
from orchestrator.library.verification.refusal import Refusal
from orchestrator.library.verification.sandbox import Limits
from orchestrator.library.verification.verify import explain, judge, last_file, verify
from tests.honest_models import write_model, write_sharded
from tests.hostile_case import Hostile
from tests.hostile_models import CASES

MAX_CPU_S, MAX_BYTES = 2.0, 512 * 2**20


async def _verdicts(folder: Path, cases: list[Hostile]) -> list[tuple[Hostile, Verdict]]:
    places = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(number: int, case: Hostile) -> tuple[Hostile, Verdict]:
        async with places:
            target = folder / str(number) / "model"
            target.parent.mkdir()
            case.make(target)
            return case, await judge(target)

    return await asyncio.gather(*(one(number, case) for number, case in enumerate(cases)))


async def test_judge_refuses_in_time_and_memory_when_folders_are_hostile(tmp_path: Path) -> None:
    judged = await _verdicts(tmp_path, list(CASES))
    assert len(judged) >= 200
    faults = []
    for case, verdict in judged:
        if not isinstance(verdict, Refused):
            faults.append(f"{case}: accepted")
            continue
        # Native code does not come back to say why: then it is the limit that is told.
        codes = {case.code, "limit"} if case.needs_limits else {case.code}
        if verdict.code not in codes or not verdict.file.endswith(case.file[-160:]):
            faults.append(f"{case}: refused as {verdict.code} for {verdict.sentence}")
        used = verdict.used
        ended = used is None and case.needs_limits
        if not ended and (used is None or used.cpu_s > MAX_CPU_S or used.peak_rss_bytes > MAX_BYTES):
            faults.append(f"{case}: took {used}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("case", [case for case in CASES if case.needs_limits], ids=str)
def test_process_ends_in_time_when_native_code_or_memory_runs_away(tmp_path: Path, case: Hostile) -> None:
    case.make(tmp_path / "model")
    arguments = [sys.executable, "-m", "orchestrator.library.verification", str(tmp_path / "model")]
    # A process of which it is the only child, so that its memory and time are known although it cannot tell them.
    probe = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True); "
    probe += "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss * 1024)"
    measured = subprocess.run([sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True)
    cpu_s, peak = map(float, measured.stdout.split())
    assert cpu_s <= MAX_CPU_S
    assert peak <= MAX_BYTES


async def test_verify_tells_the_facts_when_folder_is_honest(tmp_path: Path) -> None:
    facts = await verify(write_model(tmp_path / "model"))
    assert (facts.architecture, facts.task, facts.tensors) == ("LlamaForCausalLM", "generate", 21)
    assert facts.warnings == ()
    sharded = await verify(write_sharded(tmp_path / "sharded", shards=3))
    assert sharded == facts


async def test_verify_raises_a_sentence_when_folder_is_hostile(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "modeling.py").write_text("import os")
    with pytest.raises(ModelRejectedError, match=r"modeling\.py is a program.* Remove it"):
        await verify(folder)


async def test_verify_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    await verify(folder)
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before


async def test_judge_names_the_file_when_wall_clock_runs_out(tmp_path: Path) -> None:
    verdict = await judge(write_model(tmp_path / "model"), Limits(wall_s=0.001))
    assert isinstance(verdict, Refused)
    assert verdict.code == "limit"
    assert "within 0.001 s" in verdict.sentence


async def test_judge_names_the_file_when_memory_runs_out(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "extra.json").write_text("[" + '{"a":1},' * 600_000 + "0]")
    assert isinstance(await judge(folder), Accepted)
    verdict = await judge(folder, Limits(memory_bytes=100 * 2**20))
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.file) == ("limit", "extra.json")


async def test_judge_ends_the_process_when_cancelled(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    others = _children()
    task = asyncio.create_task(judge(folder))
    children = await asyncio.to_thread(_wait_for_children, others)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [child for child in children if os.path.exists(f"/proc/{child}")]  # noqa: ASYNC240 - not a disk


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def _wait_for_children(others: set[str]) -> set[str]:
    while not (children := _children() - others):
        pass
    return children


_SEALED = (
    "from orchestrator.library.verification.sandbox import Limits, seal; import {imports}; seal(Limits()); {attempt}"
)


@pytest.mark.parametrize(
    ("imports", "attempt"),
    [
        ("socket", "socket.socket()"),
        ("socket", "socket.getaddrinfo('localhost', 80)"),
        ("socket", "socket.socketpair()"),
        ("subprocess", "subprocess.run(['true'])"),
        ("os", "os.system('true')"),
        ("os", "os.fork()"),
        ("os", "os.execv('/bin/true', ['true'])"),
        ("os", "os.posix_spawn('/bin/true', ['true'], {})"),
        ("ctypes", "ctypes.CDLL(None)"),
        ("os", "open(os.devnull, 'w')"),
        ("os", "os.open('new', os.O_CREAT | os.O_WRONLY)"),
        ("os", "os.remove('there')"),
        ("os", "os.rename('there', 'here')"),
        ("os", "os.mkdir('new')"),
        ("os", "os.symlink('there', 'here')"),
    ],
)
def test_seal_refuses_what_examining_does_not_need(tmp_path: Path, imports: str, attempt: str) -> None:
    (tmp_path / "there").write_text("kept")
    program = _SEALED.format(imports=imports, attempt=attempt)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert "PermissionError" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_seal_leaves_no_interface_when_kernel_allows_it(tmp_path: Path) -> None:
    program = "from orchestrator.library.verification.sandbox import Limits, seal; from pathlib import Path; "
    program += "print(int(seal(Limits())), len(Path('/proc/self/net/route').read_text().splitlines()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    isolated, lines = done.stdout.split()
    assert isolated == "0" or int(lines) <= 1  # at most the heading of an empty table


def test_seal_limits_memory_when_much_is_asked_for() -> None:
    program = "from orchestrator.library.verification.sandbox import Limits, seal; seal(Limits()); bytes(2**29)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "MemoryError" in done.stderr


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (-signal.SIGPROF, "too much CPU time"),
        (-signal.SIGXCPU, "60 s of CPU time"),
        (-signal.SIGKILL, "short of memory"),
        (-signal.SIGABRT, "more than 512 MiB"),
        (-signal.SIGSEGV, "SIGSEGV"),
    ],
)
def test_explain_names_file_and_limit_when_process_was_ended(status: int, said: str) -> None:
    told = b'at "config.json"\nat "tokenizer.json"\nthread panicked at somewhere\nat "half'
    refused = explain(status, told, Limits())
    assert (refused.code, refused.file) == ("limit", "tokenizer.json")
    assert refused.sentence.startswith("tokenizer.json ")
    assert said in refused.sentence


def test_explain_raises_host_error_when_process_itself_failed() -> None:
    with pytest.raises(HostError, match="No module named msgspec"):
        explain(1, b"Traceback\nModuleNotFoundError: No module named msgspec\n", Limits())


def test_last_file_is_the_configuration_when_nothing_was_told() -> None:
    assert last_file(b"") == "config.json"


_TINY = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "moe_intermediate_size": 16}
_PUBLISHED: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("llama", "LlamaForCausalLM", {}), ("llama", "LlamaModel", {}), ("mistral", "MistralForCausalLM", {}),
    ("qwen2", "Qwen2ForCausalLM", {}), ("qwen3", "Qwen3ForCausalLM", {"head_dim": 16}),
    ("qwen3", "Qwen3ForSequenceClassification", {"head_dim": 16}), ("phi3", "Phi3ForCausalLM", {}),
    ("gemma", "GemmaForCausalLM", {"head_dim": 16}), ("gemma2", "Gemma2ForCausalLM", {"head_dim": 16}),
    ("gemma3_text", "Gemma3ForCausalLM", {"head_dim": 16}), ("granite", "GraniteForCausalLM", {}),
    ("olmo", "OlmoForCausalLM", {}), ("olmo2", "Olmo2ForCausalLM", {}), ("smollm3", "SmolLM3ForCausalLM", {}),
    ("stablelm", "StableLmForCausalLM", {"qk_layernorm": True}), ("starcoder2", "Starcoder2ForCausalLM", {}),
    ("cohere", "CohereForCausalLM", {}), ("mixtral", "MixtralForCausalLM", _EXPERTS),
    ("qwen2_moe", "Qwen2MoeForCausalLM", _EXPERTS | {"shared_expert_intermediate_size": 24}),
    ("qwen3_moe", "Qwen3MoeForCausalLM", _EXPERTS | {"head_dim": 16, "mlp_only_layers": [1]}),
    ("olmoe", "OlmoeForCausalLM", _EXPERTS), ("gpt_oss", "GptOssForCausalLM", _EXPERTS | {"head_dim": 16}),
    ("gpt2", "GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4}), ("gpt_neox", "GPTNeoXForCausalLM", {}),
    ("opt", "OPTForCausalLM", {"ffn_dim": 48, "word_embed_proj_dim": 16}), ("bert", "BertModel", {}),
    ("xlm-roberta", "XLMRobertaForSequenceClassification", {}),
)  # fmt: skip


@pytest.mark.heavy
def test_examine_passes_when_folder_is_written_by_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    faults = []
    for kind, architecture, more in _PUBLISHED:
        folder = tmp_path / architecture
        config = transformers.CONFIG_MAPPING[kind](**(_TINY | more))
        getattr(transformers, architecture)(config).save_pretrained(folder)
        (folder / "vocab.txt").write_text("word\n" * 96)
        try:
            facts = examine(folder)
        except Refusal as refusal:
            faults.append(f"{architecture}: {refusal}")
            continue
        if facts.warnings or facts.layers != 2:
            faults.append(f"{architecture}: {facts}")
    assert not faults, "\n".join(faults)
