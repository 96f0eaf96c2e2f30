"""The fit estimate beside real engines on the CPU: memory, and the size of the KV cache.

Each run starts vLLM as a replica does, with models of several shapes (random weights, but for the built-in one), asks
for the heaviest steps that its settings allow, and compares the most memory that its processes had with the estimate.
Shared pages count once, the weights' files in the page cache do not count. Five of the runs were used to find the
constants in `orchestrator/library/engine_memory.py`; the error is quoted of the others. Nothing is measured of GPUs.
"""

import asyncio
import json
import os
import subprocess
import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.fit_memory import Resident, read, reset_marks
from infra.bench.processes import ROOT
from infra.bench.report import Floor, print_floors, print_table
from orchestrator.library import builtin
from orchestrator.library.engine_memory import CPU_ERROR, layer_bytes, logits
from orchestrator.library.fit import assess, cpu_memory
from orchestrator.library.fit_types import Fit, FitQuestion, Hardware
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.library.verification.verify import verify
from replicas.types import EngineKind, ReplicaSpec

MIB = 2**20
KV_ERROR = 0.01
_BUILT_IN = "smollm2-135m"


@dataclass(frozen=True)
class Case:
    """One engine and what it is set to."""

    model: str
    kv_cache_mib: int
    context_tokens: int
    step_tokens: int
    """`max_num_batched_tokens`."""
    requests: int
    """`max_num_seqs`."""
    held_out: bool = True
    """False: the constants were found with it."""

    @property
    def question(self) -> FitQuestion:
        """The same as the estimate takes it."""
        return FitQuestion(
            context_tokens=self.context_tokens,
            kv_cache_bytes=self.kv_cache_mib * MIB,
            max_num_batched_tokens=self.step_tokens,
            max_num_seqs=self.requests,
        )


CASES = (
    Case("llama-75m", 256, 8192, 8192, 8, held_out=False),
    Case(_BUILT_IN, 1024, 3072, 2048, 128),
    Case("gemma3-215m", 1024, 4096, 2048, 128),
    Case("qwen2-425m", 256, 1024, 2048, 128, held_out=False),
    Case("qwen3-370m", 512, 1024, 2048, 128),
    Case("llama-770m", 512, 512, 1024, 128, held_out=False),
    Case(_BUILT_IN, 256, 4096, 4096, 16),
    Case("gemma3-215m", 256, 1024, 512, 32, held_out=False),
    Case("qwen2-425m", 1024, 2048, 2048, 8),
    Case("qwen3-370m", 1024, 2048, 512, 64, held_out=False),
    Case("llama-770m", 1024, 2048, 2048, 8),
)
LENGTHS = {"quick": 2, "usual": 6, "full": len(CASES)}


@dataclass(frozen=True)
class Run:
    """What was estimated and what was seen."""

    case: Case
    facts: ModelFacts
    fit: Fit
    estimated_kv_tokens: int
    kv_tokens: int
    ready: Resident
    loaded: Resident

    @property
    def seen_bytes(self) -> int:
        """The most that its processes had at once."""
        return max(self.ready.own + self.ready.files, self.loaded.peak)

    @property
    def error(self) -> float:
        """Of all but the KV cache."""
        return self.fit.fixed_bytes / (self.seen_bytes - self.fit.kv_available_bytes) - 1

    @property
    def kv_error(self) -> float:
        """Of the KV cache's size in tokens."""
        return self.estimated_kv_tokens / self.kv_tokens - 1

    def as_json(self) -> dict[str, Any]:
        """Both sides, and the parts."""
        seen = {"ready": vars(self.ready), "loaded": vars(self.loaded), "bytes": self.seen_bytes}
        kv_tokens = {"estimated": self.estimated_kv_tokens, "seen": self.kv_tokens}
        facts = msgspec.to_builtins(self.facts)
        return vars(self.case) | {
            "facts": facts,
            "estimated": msgspec.to_builtins(self.fit),
            "seen": seen,
            "kv_tokens": kv_tokens,
        }


class _Models:
    """Folders of models, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path:
        target = self._folder / name
        if target.is_dir():
            return target
        if name == _BUILT_IN:
            asyncio.run(builtin.convert(target))
        else:
            tokenizer = self.find(_BUILT_IN)
            command = [sys.executable, "-P", "-m", "infra.bench.fit_models", name, str(target), str(tokenizer)]
            subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        return target


class _Engine:
    """An engine in a process of its own, which goes on when it is told to."""

    def __init__(self, stack: ExitStack, spec: ReplicaSpec, log: Path) -> None:
        command = [sys.executable, "-P", "-m", "infra.bench.fit_engine", msgspec.json.encode(spec).decode()]
        self._log = log
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stack.enter_context(log.open("wb"))
        )
        stack.callback(self._end)

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self, what: str) -> dict[str, Any]:
        """Waits until it is there."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(b'{"at":"' + what.encode()):
                return dict(json.loads(line))
        raise SystemExit(f"The engine ended before it was {what}:\n{self._log.read_text(errors='replace')[-2000:]}")

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _measure(case: Case, models: _Models, logs: Path) -> Run:
    folder = models.find(case.model)
    facts = asyncio.run(verify(folder))
    question = case.question
    spec = ReplicaSpec(
        deployment="fit", model="fit", engine=EngineKind.VLLM, revision="", weights_path=str(folder),
        max_model_len=case.context_tokens, kv_cache_bytes=question.kv_cache_bytes,
        engine_args={"max_num_batched_tokens": case.step_tokens, "max_num_seqs": case.requests},
    )  # fmt: skip
    with ExitStack() as stack:
        engine = _Engine(stack, spec, logs / "engine.log")
        capacity = engine.hear("ready")
        ready = read(engine.pid)
        reset_marks(engine.pid)
        engine.go_on()
        engine.hear("loaded")
        loaded = read(engine.pid)
    return Run(
        case=case,
        facts=facts,
        fit=assess(facts, question, Hardware(host_free_bytes=2**40)),
        estimated_kv_tokens=_kv_tokens(facts, question),
        kv_tokens=int(capacity["kv_tokens"]),
        ready=ready,
        loaded=loaded,
    )


def _kv_tokens(facts: ModelFacts, question: FitQuestion) -> int:
    assert question.context_tokens
    assert question.kv_cache_bytes
    return cpu_memory(facts, question).layout.size_tokens(question.kv_cache_bytes, question.context_tokens)


def _print(runs: list[Run]) -> None:
    rows = []
    for run in runs:
        case, fit = run.case, run.fit
        sizes = (fit.weights_bytes, fit.kv_available_bytes, fit.activation_bytes, fit.engine_bytes, fit.needed_bytes)
        rows.append((
            f"{case.model}, {case.context_tokens:,} / {case.step_tokens:,} / {case.requests}",
            *(f"{size / MIB:,.0f}" for size in (*sizes, run.seen_bytes)), f"{run.error:+.1%}",
            f"{run.estimated_kv_tokens:,}", f"{run.kv_tokens:,}", "held out" if case.held_out else "",
        ))  # fmt: skip
    columns = ("model, context / step / requests", "weights", "KV", "activations", "engine", "estimate", "seen", "off",
               "KV tokens", "seen", "")  # fmt: skip
    print_table("Memory in MiB, and tokens of KV cache, of one engine on the CPU", columns, rows)


def _print_constants(runs: list[Run]) -> None:
    """The constants that the runs for finding them would give: least squares of the relative error, on a grid."""
    found = [run for run in runs if not run.case.held_out]
    if len(found) < 4:
        return
    memories = [cpu_memory(run.facts, run.case.question) for run in found]
    seen = [run.seen_bytes - run.fit.kv_available_bytes for run in found]
    layers = [layer_bytes(run.facts, memory.settings) for run, memory in zip(found, memories, strict=True)]
    sampled = [logits(run.facts, memory.settings) for run, memory in zip(found, memories, strict=True)]

    def badness(constants: tuple[int, float, int]) -> float:
        engine_mib, layer_factor, logit_bytes = constants
        return sum(
            ((memory.weights_bytes + engine_mib * MIB + max(layer_factor * layer, logit_bytes * count)) / own - 1) ** 2
            for memory, own, layer, count in zip(memories, seen, layers, sampled, strict=True)
        )

    grid = product(range(1000, 1600, 10), [tenths / 10 for tenths in range(5, 41)], range(0, 65, 4))
    engine_mib, layer_factor, logit_bytes = min(grid, key=badness)
    print(f"  Best for {len(found)} of these runs: engine {engine_mib:,} MiB, layers × {layer_factor}, "
          f"{logit_bytes} bytes a logit.")  # fmt: skip


def _floors(runs: list[Run]) -> list[Floor]:
    held_out = [abs(run.error) for run in runs if run.case.held_out]
    kv = max(abs(run.kv_error) for run in runs)
    worst = max(held_out, default=None)
    return [
        Floor(
            "All but the KV cache: worst error held out",
            CPU_ERROR * 100,
            None if worst is None else worst * 100,
            "%",
            True,
        ),
        Floor("Tokens of KV cache: worst error", KV_ERROR * 100, kv * 100, "%", True),
    ]


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    count = LENGTHS[length_of(options)]
    runs = []
    with TemporaryDirectory(prefix="fit-bench-", dir=options.dir) as name:
        folder = Path(name)
        models = _Models(folder)
        for number, case in enumerate(CASES[:count], start=1):
            print(f"{number} of {count}: {case.model}", file=sys.stderr, flush=True)
            runs.append(_measure(case, models, folder))
            if options.json:
                write_json(options.json, _report(runs))
    _print(runs)
    _print_constants(runs)
    print_floors(_floors(runs))


def _report(runs: list[Run]) -> dict[str, Any]:
    floors = [floor.as_json() for floor in _floors(runs)]
    return {"cores": os.cpu_count(), "runs": [each.as_json() for each in runs], "floors": floors}


def _parse() -> Namespace:
    quick = "two engines: to see that it works, not to quote"
    parser = bench_parser("fit", __doc__, quick=quick, full="all engines: to quote")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where models are made (else where TMPDIR is)")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
