"""One real engine as a replica starts it, and the heaviest steps it can be given.

`python -m infra.bench.fit_engine SPEC`, where SPEC is a `ReplicaSpec` in JSON. Says on its last lines of output what
it is at (`ready` with the engine's capacity, then `loaded`), and goes on whenever a line comes in.
"""

import asyncio
import sys
from typing import Any

import httpx
import msgspec

import replicas.deployment  # noqa: F401  # a replica has Ray in its memory, too
from replicas.types import ReplicaSpec
from replicas.vllm_engine import VllmEngine

_FEW_TOKENS = 4


async def _run(spec: ReplicaSpec) -> None:
    engine = VllmEngine()
    await engine.start(spec, lambda _: None)
    capacity = engine.capacity
    assert capacity.max_model_len
    assert capacity.max_running
    try:
        _say("ready", msgspec.to_builtins(capacity))
        # One request of the longest context, then a step full of as many requests as may run.
        await _complete(engine, spec.model, 1, capacity.max_model_len - _FEW_TOKENS)
        step_tokens = int(spec.engine_args["max_num_batched_tokens"])
        prompt_tokens = min(step_tokens // capacity.max_running, capacity.max_model_len - _FEW_TOKENS)
        await _complete(engine, spec.model, capacity.max_running, max(1, prompt_tokens))
        _say("loaded", {})
    finally:
        await engine.stop()


async def _complete(engine: VllmEngine, model: str, requests: int, prompt_tokens: int) -> None:
    """All requests come at once. No two prompts begin alike, so that nothing comes from the prefix cache."""
    prompts = [[100 + first, *range(1000, 1000 + prompt_tokens - 1)] for first in range(requests)]
    sampling = {"max_tokens": _FEW_TOKENS, "ignore_eos": True, "temperature": 0.8, "top_p": 0.9, "top_k": 50}
    transport = httpx.ASGITransport(app=engine.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=None) as client:
        answer = await client.post("/v1/completions", json={"model": model, "prompt": prompts, **sampling})
        answer.raise_for_status()


def _say(what: str, details: Any) -> None:
    print(msgspec.json.encode({"at": what, **details}).decode(), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(_run(msgspec.json.decode(sys.argv[1], type=ReplicaSpec)))
