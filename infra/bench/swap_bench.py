"""Weights swapped under the load of four clients, back and forth, and a restart with other weights in the same run.

A second revision is made of the one that is served (noise on some of its tensors) and pushed. Both revisions' greedy
answers are learnt first; then clients ask all the time, and each answer must be that of the revision that it names.
What a client is held up is measured at the client: an answer that took longer because of a swap.
"""

import asyncio
import json
import os
import shutil
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import httpx
import msgspec
import psutil
import redis.asyncio as redis

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.house import find_house
from infra.bench.report import Floor, middle, print_floors, print_table
from infra.bench.swap_clients import Answered, Clients
from orchestrator.cli.model import wait_verified
from orchestrator.client import AdminClient
from orchestrator.host.home import Home
from orchestrator.library.uploads.push import Push
from replicas.types import ENDPOINT_IDS_KEY, Endpoint, ReplicaState, endpoint_key
from replicas.weights.contents import Contents

_CLIENTS = 4
_TOKENS = 24
_LOOK_S = 0.02
_BETWEEN = 2 * _CLIENTS
"""Answers between two swaps, so that some without a swap are seen as well."""
_NOISE = 0.02
_NOTES = "noise for the bench"


@dataclass(frozen=True)
class Size:
    swaps: int
    restarts: int


SIZES = {"quick": Size(4, 1), "usual": Size(20, 1), "full": Size(100, 3)}


@dataclass(frozen=True)
class SwapTimes:
    """One swap; seconds. `began` and `ended` are of the monotonic clock."""

    began: float
    ended: float
    drained_s: float
    loaded_s: float
    reloaded_s: float
    rss_bytes: int


@dataclass
class Found:
    """What was measured."""

    swaps: list[SwapTimes] = field(default_factory=list)
    restarts: list[SwapTimes] = field(default_factory=list)
    held_s: list[float] = field(default_factory=list)
    """What each answer that met a swap took longer than one without."""


class Bench:
    """One run against the Roundhouse of the home."""

    def __init__(self, model: str, api: AdminClient, store: "redis.Redis", clients: Clients) -> None:
        self._model = model
        self._api = api
        self._store = store
        self._clients = clients

    async def run(self, size: Size, revisions: tuple[str, str]) -> Found:
        found = Found()
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=_CLIENTS), trust_env=False) as http:
            await self._clients.learn(http)
            await self._swap(revisions[1])
            await self._clients.learn(http)
            stop = asyncio.Event()
            asking = [asyncio.create_task(self._clients.ask_until(http, stop, each)) for each in range(_CLIENTS)]
            await self._answers(_BETWEEN)
            for turn in range(size.swaps):
                found.swaps.append(await self._swap(revisions[turn % 2]))
                await self._answers(_BETWEEN)
            for turn in range(size.restarts):
                found.restarts.append(await self._swap(revisions[(size.swaps + turn) % 2], strategy="restart"))
                await self._answers(_BETWEEN)
            stop.set()
            await asyncio.gather(*asking)
        found.held_s = held_up(self._clients.answered, found.swaps, found.restarts)
        return found

    async def _swap(self, revision: str, strategy: str = "in-place") -> SwapTimes:
        began = monotonic()
        body = {"revision": revision, "strategy": strategy}
        swap = await asyncio.to_thread(self._api.post, f"/deployments/{self._model}/swap", body)
        while swap["active"]:
            await asyncio.sleep(_LOOK_S)
            journal = await asyncio.to_thread(self._api.get, f"/deployments/{self._model}/swaps")
            swap = next(each for each in journal if each["id"] == swap["id"])
        if swap["step"] != "done":
            raise SystemExit(f"The swap to {revision} failed: {swap['reason']}")
        replica = await self._replica()
        report = replica.swap
        return SwapTimes(
            began=began,
            ended=monotonic(),
            drained_s=report.drained_s or 0.0 if report else 0.0,
            loaded_s=report.loaded_s or 0.0 if report else 0.0,
            reloaded_s=report.reloaded_s or 0.0 if report else 0.0,
            rss_bytes=_rss_bytes(replica.pid),
        )

    async def _answers(self, count: int) -> None:
        """Wait until so many more have come."""
        aim = len(self._clients.answered) + count
        while len(self._clients.answered) < aim and not self._clients.failed:  # noqa: ASYNC110 - a bench may look
            await asyncio.sleep(_LOOK_S)

    async def _replica(self) -> Endpoint:
        for replica_id in sorted(await self._store.smembers(ENDPOINT_IDS_KEY)):
            assert isinstance(replica_id, bytes)
            record = await self._store.get(endpoint_key(replica_id.decode()))
            if record is not None:
                endpoint = msgspec.json.decode(record, type=Endpoint)
                if endpoint.deployment == self._model and endpoint.state is ReplicaState.READY:
                    return endpoint
        raise SystemExit(f"No replica of {self._model} is ready any more.")


def held_up(answered: list[Answered], swaps: list[SwapTimes], restarts: list[SwapTimes]) -> list[float]:
    """What each answer that overlaps a swap took longer than the median of those that overlap nothing."""

    def meets(answer: Answered, changes: list[SwapTimes]) -> bool:
        return any(answer.began < change.ended and change.began < answer.ended for change in changes)

    undisturbed = [each for each in answered if not meets(each, [*swaps, *restarts])]
    usual_s = middle([each.ended - each.began for each in undisturbed])
    return [max(0.0, each.ended - each.began - usual_s) for each in answered if meets(each, swaps)]


def _rss_bytes(pid: int) -> int:
    """Of a replica and its engine's processes."""
    replica = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (replica, *replica.children(recursive=True)))


def other_revision(folder: Path, target: Path) -> None:
    """A copy with noise on the MLP's output weights: the same architecture, other answers."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    shutil.copytree(folder, target)
    torch.manual_seed(1)
    for path in target.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = file.metadata()
        for name, tensor in tensors.items():
            if name.endswith("down_proj.weight"):
                noise = torch.randn_like(tensor, dtype=torch.float32) * tensor.float().std() * _NOISE
                tensors[name] = (tensor.float() + noise).to(tensor.dtype)
        path.chmod(0o644)
        path.unlink()
        save_file(tensors, path, metadata=metadata)


def _two_revisions(api: AdminClient, deployment: dict[str, Any]) -> tuple[str, str]:
    """What is served, and another one, which is made and pushed if the library has none."""
    model = api.get(f"/models/{deployment['model']}")
    ready = [each for each in model["revisions"] if each["state"] == "ready"]
    served = deployment["revision"]
    others = [each["digest"] for each in ready if each["digest"] != served and each["notes"] == _NOTES]
    if others:
        return served, others[-1]
    folder = Contents(Home.of_environment().contents).folder(served)
    with TemporaryDirectory() as scratch:
        other_revision(folder, Path(scratch) / "other")
        with Push(f"{api.url}/api/v1", api.authorization) as push:
            digest = push.run(Path(scratch) / "other", model["name"], notes=_NOTES).revision
    wait_verified(api, model["name"], digest)
    return served, digest


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    size = SIZES[length_of(options)]
    house, home = find_house(options.model), Home.of_environment()
    config = json.loads(home.node_config.read_bytes())
    clients = Clients(house.router.url, house.router.key, house.model, _TOKENS)
    with AdminClient(house.router.url.split("/v1/")[0], house.router.key) as api:
        revisions = _two_revisions(api, api.get(f"/deployments/{house.model}"))

        async def run() -> Found:
            async with redis.Redis.from_url(config["store_url"]) as store:
                return await Bench(house.model, api, store, clients).run(size, revisions)

        found = asyncio.run(run())
    report(found, clients, options.json)


def report(found: Found, clients: Clients, path: Path | None) -> None:
    """Prints tables and floors, writes the JSON."""
    loaded = middle([each.loaded_s for each in found.swaps])
    reloaded = middle([each.reloaded_s for each in found.swaps])
    in_place = middle([each.ended - each.began for each in found.swaps])
    restart = middle([each.ended - each.began for each in found.restarts])
    drain_longest = max(each.drained_s for each in found.swaps)
    held_p99 = sorted(found.held_s)[int(len(found.held_s) * 0.99)] if found.held_s else 0.0
    slope = _slope([each.rss_bytes / 2**20 for each in found.swaps])
    print_table(
        f"{clients.model}: {len(found.swaps)} swaps in place and {len(found.restarts)} restarts under {_CLIENTS} "
        f"clients, {len(clients.answered)} answers; medians",
        ("", "seconds"),
        [
            ("loading the weights alone", f"{loaded:.2f}"),
            ("with the proof", f"{reloaded:.2f}"),
            ("requests in flight ending (longest)", f"{drain_longest:.2f}"),
            ("the swap, from order to done", f"{in_place:.2f}"),
            ("a restart, from order to done", f"{restart:.2f}"),
            ("held up by a swap, as clients see it, p99", f"{held_p99:.2f}"),
            ("RSS, MiB a swap", f"{slope:+.2f}"),
        ],
    )
    for line in [*clients.failed[:5], *clients.wrong[:5]]:
        print(f"  {line}")
    floors = [
        Floor("Reload with proof ÷ restart", 1 / 15, reloaded / restart, at_most=True),
        Floor("Reload with proof ÷ loading alone", 3.0, reloaded / loaded, at_most=True),
        Floor(
            "Held up p99 ÷ (longest drain + 1.5 reload)", 1.0, held_p99 / (drain_longest + 1.5 * reloaded), at_most=True
        ),
        Floor("Failed requests", 0, len(clients.failed), at_most=True),
        Floor("Answers of a mixed or wrong revision", 0, len(clients.wrong), at_most=True),
    ]
    print_floors(floors)
    figures: dict[str, Any] = {"swaps": [vars(each) for each in found.swaps]}
    figures |= {"restarts": [vars(each) for each in found.restarts]}
    figures |= {"held_s": found.held_s, "failed": clients.failed, "wrong": clients.wrong}
    figures |= {"answers": len(clients.answered), "cores": os.cpu_count()}
    write_json(path, figures | {"floors": [floor.as_json() for floor in floors]})


def _slope(values: list[float]) -> float:
    """Least squares over the second half: what comes first warms caches up."""
    half = values[len(values) // 2 :]
    if len(half) < 2:
        return 0.0
    mean_x, mean_y = (len(half) - 1) / 2, sum(half) / len(half)
    over = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(half))
    return over / sum((x - mean_x) ** 2 for x in range(len(half)))


def _parse() -> Namespace:
    parser = bench_parser("swap", __doc__)
    parser.add_argument("--model", help="which model to swap, if more than one is ready")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
