"""Weights swapped under load: real vLLM, real Ray, clients that know what each revision answers."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from infra.bench.swap_bench import other_revision
from infra.bench.swap_clients import Clients
from tests.e2e.conftest import SMOLLM2
from tests.e2e.house import RunningHouse

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


@pytest.fixture
def revisions(real_house: RunningHouse, tmp_path: Path) -> tuple[str, str]:
    """What is served, and one with other answers."""
    served = real_house.api(f"/deployments/{SMOLLM2}")["revision"]
    folder = real_house.home / "library" / "contents" / "revisions" / served.removeprefix("sha256:")
    other_revision(folder, tmp_path / "other")
    told = real_house.succeed("model", "push", str(tmp_path / "other"), "--name", SMOLLM2, "--notes", "with noise")
    other = next(word for word in told.split() if word.startswith("sha256:"))
    return served, other


async def test_swaps_under_load_fail_no_request_and_mix_no_revisions(
    real_house: RunningHouse, revisions: tuple[str, str], full: bool
) -> None:
    clients = Clients(f"{real_house.url}/v1/chat/completions", real_house.key, SMOLLM2, tokens=12)

    async def swap(*words: str) -> str:
        return await asyncio.to_thread(real_house.succeed, *words)

    async with httpx.AsyncClient(trust_env=False) as http:
        assert await clients.learn(http) == revisions[0]
        told = await swap("swap", SMOLLM2, revisions[1][:20])
        assert "in-place: same architecture, tokenizer and chat template" in " ".join(told.split())
        assert await clients.learn(http) == revisions[1]
        assert clients.known[revisions[0]] != clients.known[revisions[1]], "the two revisions answer alike"
        stop = asyncio.Event()
        asking = [asyncio.create_task(clients.ask_until(http, stop, number)) for number in range(2)]
        for turn in range(10 if full else 2):
            await swap("swap", SMOLLM2, revisions[turn % 2])
        await swap("rollback", SMOLLM2)
        stop.set()
        await asyncio.gather(*asking)
    assert (clients.failed, clients.wrong) == ([], [])
    assert len({each.revision for each in clients.answered}) == 2
    journal = json.loads(await swap("swaps", SMOLLM2, "--json"))
    assert {(each["step"], each["strategy"]) for each in journal} == {("done", "in-place")}
    (replica,) = real_house.api("/replicas")
    assert (replica["state"], replica["revision"]) == ("ready", journal[-1]["to_revision"])
