"""Weights on nodes, as the admin API shows them and has them fetched. The hosts are real processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.types import Model, ModelState, ObservedNode, Revision
from orchestrator.weights_hosts import WeightsHosts
from replicas.host_types import Fetched, FetchProgress, FetchRefused
from replicas.weights.contents import Contents
from tests.contract.api_house import ApiHouse, RecordingCluster, api_house
from tests.weights_hosts import Host, files_of, hosts, publish

MIB = 2**20
FILES = {"config.json": b"{}", "model.safetensors": b"w" * (3 * MIB)}


class Scene:
    """A library with one revision of `tiny`, and one other host; Ray knows both and a third that has no process."""

    def __init__(self, house: ApiHouse, library: Host, cache: Host, revision: str) -> None:
        self.house, self.library, self.cache, self.revision = house, library, cache, revision
        self.path = f"/models/tiny/revisions/{revision}/prefetch"

    async def nodes(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Nodes by address, once `condition` holds of them."""
        async with asyncio.timeout(20):
            while True:
                await self.house.tick()
                nodes = {each["address"]: each for each in (await self.house.client.get("/nodes")).json()}
                if condition(nodes):
                    return nodes
                await asyncio.sleep(0.05)


@pytest.fixture
async def scene(valkey_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with hosts(tmp_path, valkey_url) as made:
        library, cache = made.library(), made.cache(patience_s="0.5")
        revision = publish(library.folder, FILES)
        await asyncio.gather(library.start(), cache.start())
        cluster = RecordingCluster(node_list=tuple(map(_node, ("127.0.0.1", "127.0.0.2", "127.0.0.9"))))
        (tmp_path / "home").mkdir()
        async with api_house(valkey_url, tmp_path / "home", cluster=cluster) as house:
            await house.context.store.put_model(_model(revision, ""))
            yield Scene(house, library, cache, revision)


def _node(address: str) -> ObservedNode:
    return ObservedNode(
        id=address, address=address, hostname="h", alive=True, head=address == "127.0.0.1",
        cpus=1, gpus=0, memory_bytes=1,
    )  # fmt: skip


def _model(revision: str, path: str) -> Model:
    ready = Revision(digest=revision, arrival="a", source="upload", state=ModelState.READY, created_at=1.0, path=path)
    rejected = Revision(
        digest="sha256:" + "1" * 64, arrival="b", source="upload", state=ModelState.REJECTED, created_at=2.0
    )
    return Model(name="tiny", created_at=1.0, revision=revision, revisions=(ready, rejected))


async def test_prefetch_brings_the_revision_to_every_node_and_nodes_show_it(scene: Scene) -> None:
    answer = await scene.house.client.post(scene.path)
    assert answer.status_code == 202
    assert {each["node"]: each["state"] for each in answer.json()} == {"127.0.0.1": "present", "127.0.0.2": "fetching"}
    nodes = await scene.nodes(lambda found: found["127.0.0.2"]["weights"]["revisions"] == [scene.revision])
    assert files_of(scene.cache.revision(scene.revision)) == FILES
    assert nodes["127.0.0.9"]["weights"] is None
    assert nodes["127.0.0.1"]["weights"]["library"] is True
    weights = nodes["127.0.0.2"]["weights"]
    assert (weights["library"], weights["fetches"], weights["refusals"]) == (False, [], [])
    assert 3 * MIB < weights["used_bytes"] < weights["limit_bytes"]
    again = (await scene.house.client.post(scene.path, json={"nodes": ["127.0.0.2"]})).json()
    assert again == [{"node": "127.0.0.2", "state": "present", "reason": ""}]


async def test_prefetch_copies_nothing_where_the_library_is_seen(scene: Scene) -> None:
    shared = Contents(scene.library.folder).folder(scene.revision)
    await scene.house.context.store.put_model(_model(scene.revision, str(shared)))
    answer = await scene.house.client.post(scene.path, json={"nodes": ["127.0.0.2"]})
    assert [each["state"] for each in answer.json()] == ["present"]
    assert not scene.cache.revision(scene.revision).exists()


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/models/tiny/revisions/{0}/prefetch", {"nodes": ["127.0.0.9"]}, 409, "127.0.0.9"),
        ("/models/tiny/revisions/{0}/prefetch", {"nodes": []}, 422, "nodes"),
        ("/models/nope/revisions/{0}/prefetch", {}, 404, "nope"),
        ("/models/tiny/revisions/sha256:2/prefetch", {}, 404, "sha256:2"),
        (f"/models/tiny/revisions/sha256:{'1' * 64}/prefetch", {}, 409, "not ready"),
    ],
)
async def test_prefetch_of_what_cannot_be_is_refused(
    scene: Scene, path: str, body: dict[str, Any], status: int, reason: str
) -> None:
    answer = await scene.house.client.post(path.format(scene.revision), json=body)
    assert answer.status_code == status
    assert reason in answer.json()["error"]["message"]


async def test_prefetch_that_fails_is_told_by_the_node(scene: Scene) -> None:
    scene.library.stop()
    assert (await scene.house.client.post(scene.path)).json()[0]["state"] == "fetching"
    nodes = await scene.nodes(lambda found: bool(found["127.0.0.2"]["weights"]["refusals"]))
    (refusal,) = nodes["127.0.0.2"]["weights"]["refusals"]
    assert refusal["revision"] == scene.revision
    assert "No host has" in refusal["reason"]


async def test_prefetch_that_is_waited_for_ends_when_each_host_has_it_or_cannot(scene: Scene) -> None:
    told: list[tuple[str, FetchProgress]] = []
    weights_hosts = WeightsHosts(scene.house.context.store)
    ends = await weights_hosts.prefetch(scene.revision, "", tell=lambda *each: told.append(each))
    assert ends == {
        "127.0.0.1": Fetched(path=str(scene.library.revision(scene.revision))),
        "127.0.0.2": Fetched(path=str(scene.cache.revision(scene.revision))),
    }
    assert {address for address, _ in told} == {"127.0.0.2"}
    scene.cache.kill()
    (end,) = (await weights_hosts.prefetch(scene.revision, "", ["127.0.0.2"])).values()
    assert isinstance(end, FetchRefused)
    assert end.code == "host_unavailable"
