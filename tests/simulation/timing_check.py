"""How well the simulated engine's timing foretells a real one's: vLLM on this machine, with weights of a folder.

    python -m tests.simulation.timing_check FOLDER [--rounds 3] [--json FILE]

Three loads fit the model's three numbers: long prompts give the rate of reading, one request alone the time between two
tokens, eight at once what each further one adds. Other loads are then foretold and measured. Each is measured several
times, and every request counts as the median of its rounds: other programs of the machine disturb what is measured.
Prompts are random token ids of which no two begin alike, so nothing comes from the prefix cache.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean, median

import httpx
import msgspec
import uvicorn
from msgspec import Struct

from replicas.simulation import PREFILL_CHUNK_TOKENS, SimulatedRequest, TokenMade
from replicas.types import EngineKind, ReplicaSpec, SimulationSettings
from replicas.vllm_engine import VllmEngine
from tests.simulation.clock import VirtualClock
from tests.simulation.engine_sim import EngineProcess

_MODEL = "timed"
_CONTEXT_TOKENS = 4096
_KV_CACHE_BYTES = 1 << 30
_IDS = (1000, 30_000)
_PROMPTS, _ANSWERS = (32, 384), (8, 32)
_POISSON_REQUESTS = 16


class Asked(Struct, frozen=True):
    """One request of a load."""

    at: float
    """Seconds from the load's beginning."""
    prompt_tokens: int
    output_tokens: int


class Timing(Struct, frozen=True):
    """Seconds from sending to the first token, and between two tokens on average."""

    first_token_s: float
    inter_token_s: float


class Judged(Struct, frozen=True, kw_only=True):
    """A load that was foretold and measured: medians over its requests, errors relative to what was measured."""

    name: str
    foretold: Timing
    measured: Timing

    @property
    def line(self) -> str:
        """For people."""
        told, seen = self.foretold, self.measured
        return (
            f"{self.name:22} TTFT {told.first_token_s:6.3f} s, measured {seen.first_token_s:6.3f} "
            f"({told.first_token_s / seen.first_token_s - 1:+.0%})   ITL {told.inter_token_s * 1e3:5.1f} ms, "
            f"measured {seen.inter_token_s * 1e3:5.1f} ({told.inter_token_s / seen.inter_token_s - 1:+.0%})"
        )


Load = Sequence[Asked]
READS: Load = [Asked(0.0, 1536, 2)]
ALONE: Load = [Asked(0.0, 16, 48)]
TOGETHER: Load = [Asked(0.0, 16, 48)] * 8
HELD_OUT: dict[str, Load] = {
    "one, 512 + 32": [Asked(0.0, 512, 32)],
    "4 at once, 256 + 32": [Asked(0.0, 256, 32)] * 4,
    "16 at once, 64 + 32": [Asked(0.0, 64, 32)] * 16,
}


def poisson(rate: float, requests: int, seed: int = 1) -> Load:
    """`rate` requests a second with prompts and answers of `_PROMPTS` and `_ANSWERS` tokens."""
    rng, at, load = Random(seed), 0.0, []
    for _ in range(requests):
        at += rng.expovariate(rate)
        load.append(Asked(at, rng.randint(*_PROMPTS), rng.randint(*_ANSWERS)))
    return load


def foretell(load: Load, settings: SimulationSettings) -> list[Timing]:
    """What the simulated engine makes of a load."""
    clock = VirtualClock()
    engine = EngineProcess(settings, clock)
    first, last = [0.0] * len(load), [0.0] * len(load)

    def submit(number: int) -> None:
        def told(token: TokenMade) -> None:
            if not token.index:
                first[number] = clock.now()
            if token.last:
                last[number] = clock.now()

        asked = load[number]
        prompt_tokens, output_tokens = asked.prompt_tokens, asked.output_tokens
        request = SimulatedRequest(id=str(number), prompt_tokens=prompt_tokens, output_tokens=output_tokens)
        engine.submit(request, told)

    for number, asked in enumerate(load):
        clock.at(asked.at, lambda number=number: submit(number))  # type: ignore[misc]
    clock.run(until=lambda: all(last))
    return [timing(asked, asked.at, *times) for asked, *times in zip(load, first, last, strict=True)]


def timing(asked: Asked, sent_at: float, first_at: float, last_at: float) -> Timing:
    """Of one request, from its moments in seconds."""
    return Timing(first_at - sent_at, (last_at - first_at) / max(1, asked.output_tokens - 1))


def fit(reads: Sequence[Timing], alone: Sequence[Timing], together: Sequence[Timing]) -> SimulationSettings:
    """The settings under which the three loads come out as measured."""
    inter_token_s = middle(alone).inter_token_s
    per_running_s = (middle(together).inter_token_s - inter_token_s) / (len(TOGETHER) - 1)
    return SimulationSettings(
        prefill_tokens_per_s=READS[0].prompt_tokens / middle(reads).first_token_s,
        inter_token_s=inter_token_s,
        inter_token_per_running_s=max(0.0, per_running_s),
    )


def middle(timings: Sequence[Timing]) -> Timing:
    """Medians."""
    return Timing(median(each.first_token_s for each in timings), median(each.inter_token_s for each in timings))


async def measured(client: httpx.AsyncClient, load: Load, rounds: int, rng: Random) -> list[Timing]:
    """What the real engine makes of it: of each request the median over the rounds."""
    made = [await _round(client, load, rng) for _ in range(rounds)]
    return [middle(request) for request in zip(*made, strict=True)]


async def _round(client: httpx.AsyncClient, load: Load, rng: Random) -> list[Timing]:
    began = time.monotonic()
    return await asyncio.gather(*(_ask(client, asked, began + asked.at, rng) for asked in load))


async def _ask(client: httpx.AsyncClient, asked: Asked, at: float, rng: Random) -> Timing:
    await asyncio.sleep(at - time.monotonic())
    prompt = [rng.randrange(*_IDS) for _ in range(asked.prompt_tokens)]
    sampling = {"max_tokens": asked.output_tokens, "ignore_eos": True, "temperature": 0.0, "stream": True}
    async with client.stream("POST", "/v1/completions", json={"model": _MODEL, "prompt": prompt, **sampling}) as answer:
        answer.raise_for_status()
        moments = [time.monotonic() async for line in answer.aiter_lines() if line.startswith("data: {")]
    return timing(asked, at, moments[0], moments[-1])


async def check(folder: Path, rounds: int) -> tuple[SimulationSettings, list[Judged]]:
    """Starts the engine, fits, foretells and measures; says each as soon as it is known."""
    spec = ReplicaSpec(
        deployment=_MODEL, model=_MODEL, engine=EngineKind.VLLM, revision="", weights_path=str(folder),
        max_model_len=_CONTEXT_TOKENS, kv_cache_bytes=_KV_CACHE_BYTES,
        engine_args={"max_num_batched_tokens": PREFILL_CHUNK_TOKENS},
    )  # fmt: skip
    engine = VllmEngine()
    await engine.start(spec, lambda _: None)
    server = uvicorn.Server(uvicorn.Config(engine.app, log_level="warning", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))  # whoever comes before the server waits for it
    serving = asyncio.create_task(server.serve([listening]))
    try:
        port = listening.getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None) as client:
            return await _check(client, rounds)
    finally:
        server.should_exit = True
        await serving
        await engine.stop()


async def _check(client: httpx.AsyncClient, rounds: int) -> tuple[SimulationSettings, list[Judged]]:
    rng = Random(1)
    await measured(client, READS, 1, rng)  # the first of a kind takes longer
    fitted = fit(*[await measured(client, load, rounds, rng) for load in (READS, ALONE, TOGETHER)])
    _say(
        f"{fitted.prefill_tokens_per_s:.0f} tokens/s read, {fitted.inter_token_s * 1e3:.1f} ms a token alone, "
        f"{fitted.inter_token_per_running_s * 1e3:.2f} ms more for each further request"
    )
    judged: list[Judged] = []
    busy = {f"Poisson, {share:.0%} busy": poisson(_rate(fitted, share), _POISSON_REQUESTS) for share in (0.3, 0.6)}
    for name, load in {**HELD_OUT, **busy}.items():
        seen = middle(await measured(client, load, rounds, rng))
        judged.append(Judged(name=name, foretold=middle(foretell(load, fitted)), measured=seen))
        _say(judged[-1].line)
    return fitted, judged


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _rate(settings: SimulationSettings, share: float) -> float:
    """Requests a second of `poisson` that take about that share of what eight at once are served at."""
    read_s = fmean(_PROMPTS) / settings.prefill_tokens_per_s
    step_s = settings.inter_token_s + 7 * settings.inter_token_per_running_s
    return share / (read_s + fmean(_ANSWERS) * step_s / 8)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="weights in safetensors")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    fitted, judged = asyncio.run(check(given.folder, given.rounds))
    if given.json is not None:
        given.json.write_text(json.dumps(msgspec.to_builtins({"fitted": fitted, "judged": judged}), indent=2))


if __name__ == "__main__":
    main()
