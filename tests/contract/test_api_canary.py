"""Swaps with a canary over the API: routers are reports in the store, everything else is real."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.canary import beside
from orchestrator.reconcile import spec_digest
from orchestrator.types import StartApplication
from replicas.types import Endpoint, EngineKind, ReplicaSpec, ReplicaState, endpoint_key, spec_key
from router.types import ROUTER_IDS_KEY, CanaryCounts, RevisionCounts, RouterReport, router_report_key
from tests.contract.swap_house import KilledError, SwapHouse, swap_house
from tests.unit.orchestrator.builders import node

TERMS = {"share": 0.5, "for_s": 0, "requests": 10}
WELL, BADLY = RevisionCounts(answered=100), RevisionCounts(answered=20, failed=80)


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[SwapHouse]:
    async with swap_house(valkey_url, tmp_path) as made:
        yield made


async def told_by_routers(house: SwapHouse, swap_id: str, new: RevisionCounts) -> None:
    """What two routers count of the canary."""
    for number in range(2):
        counts = CanaryCounts(id=swap_id, old=WELL, new=new)
        report = RouterReport(router_id=f"r{number}", at=1.0, models={}, canaries={"chat": counts})
        await house.replicas.store.set(router_report_key(report.router_id), msgspec.json.encode(report))
        await house.replicas.store.sadd(ROUTER_IDS_KEY, report.router_id)


async def begin(house: SwapHouse, **body: Any) -> str:
    begun = await house.start(canary=TERMS, **body)
    assert begun["canary"] == TERMS
    return str(begun["id"])


async def until_on(house: SwapHouse) -> None:
    """Until the canary has its share."""
    swaps = house.swaps()
    for _ in range(20):
        await swaps.advance()
        canary = (await house.api.context.deployments.get("chat")).canary
        if canary is not None and canary.share:
            return
    raise AssertionError((await house.last())["detail"])


async def test_canary_in_place_takes_one_replica_and_the_others_follow_once_it_fared_well(house: SwapHouse) -> None:
    swap_id = await begin(house)
    await until_on(house)
    deployment = await house.api.context.deployments.get("chat")
    assert (deployment.revision, await house.served()) == (house.old, {house.old, house.new})
    await house.api.tick()
    told = (await house.api.context.store.catalog())["chat"].canary
    assert told is not None
    assert (told.id, told.revision, told.share) == (swap_id, house.new, 0.5)
    await told_by_routers(house, swap_id, WELL)
    await house.run(house.swaps())
    done = await house.last()
    assert (done["step"], await house.served()) == ("done", {house.new})
    assert done["verdict"] == "0 of 200 failed, 0 of 200 with the old revision"
    await house.api.tick()
    assert (await house.api.context.store.catalog())["chat"].canary is None


async def test_canary_that_fails_takes_the_old_weights_back_and_says_why(house: SwapHouse) -> None:
    swap_id = await begin(house)
    await until_on(house)
    await told_by_routers(house, swap_id, BADLY)
    await house.run(house.swaps())
    await house.swaps().advance()
    failed = await house.last()
    assert (failed["step"], await house.served()) == ("failed", {house.old})
    assert failed["reason"].startswith("The canary was rolled back: 160 of 200 attempts failed with the new revision")
    assert house.replicas.told[-2:] == ["swap chat-0", "swap chat-0"]
    assert (await house.api.context.deployments.get("chat")).canary is None


async def test_rollback_ends_a_canary_at_once(house: SwapHouse) -> None:
    await begin(house)
    await until_on(house)
    answer = await house.api.client.post("/deployments/chat/rollback")
    assert (answer.status_code, answer.json()["step"]) == (202, "returning")
    await house.run(house.swaps())
    assert ((await house.last())["reason"], await house.served()) == ("It was rolled back.", {house.old})


async def test_counts_of_another_canary_are_not_taken_for_those_of_this_one(house: SwapHouse) -> None:
    await begin(house)
    await until_on(house)
    await told_by_routers(house, "another", BADLY)
    assert await house.swaps().advance()
    waiting = await house.last()
    assert (waiting["step"], waiting["active"]) == ("canary", True)
    assert waiting["detail"].startswith("0 answers by the new revision")


async def test_canary_by_surge_has_replicas_of_its_own_that_load_the_new_weights(house: SwapHouse) -> None:
    house.api.cluster.node_list = (node(cpus=8),)
    await house.api.tick()
    swap_id = await begin(house, strategy="surge")
    for _ in range(3):
        await house.swaps().advance()
    await house.api.tick()
    deployment = await house.api.context.deployments.get("chat")
    own = beside(deployment)
    assert own is not None
    started = [each for each in house.api.cluster.actions if isinstance(each, StartApplication)]
    assert [each.deployment.name for each in started][-1] == own.name == "chat+canary"
    raw = await house.replicas.store.get(spec_key(own.name))
    spec = msgspec.json.decode(raw or b"", type=ReplicaSpec)
    assert (spec.deployment, spec.model, spec.revision) == ("chat+canary", "chat", house.new)
    assert set(await house.api.context.store.catalog()) == {"chat"}, "clients know nothing of it"
    await house.replicas.add(
        Endpoint(
            replica_id="canary-0", deployment=own.name, spec_digest=spec_digest(own), model="chat", revision=house.new,
            engine=EngineKind.SIMULATED, state=ReplicaState.READY, host="127.0.0.1", port=1, started_at=1.0,
            state_since=1.0,
        )
    )  # fmt: skip
    await until_on(house)
    await told_by_routers(house, swap_id, BADLY)
    for _ in range(4):
        await house.swaps().advance()
    await house.api.tick()
    assert not [name for name in house.api.cluster.shown if name.startswith("chat+canary")]
    split = (await house.api.context.store.catalog())["chat"].canary
    assert split is not None
    assert ((await house.last())["step"], split.share) == ("returning", 0), "its replica has not ended yet"
    await house.replicas.store.delete(endpoint_key("canary-0"))
    await house.run(house.swaps())
    await house.swaps().advance()
    assert (await house.last())["step"] == "failed"
    assert (await house.api.context.deployments.get("chat")).canary is None


@pytest.mark.parametrize("new", [WELL, BADLY])
async def test_orchestrator_killed_at_every_step_of_a_canary_goes_on_where_it_was(
    house: SwapHouse, new: RevisionCounts
) -> None:
    steps: list[str] = []
    await told_by_routers(house, await begin(house), new)
    await house.run(house.swaps(reached=steps.append))
    assert {"noted-canary", "done-canary", "noted-rolling" if new is WELL else "noted-returning"} <= set(steps)
    for step in dict.fromkeys(steps):
        served = (await house.api.context.deployments.get("chat")).revision
        aim = house.old if served == house.new else house.new
        await told_by_routers(house, await begin(house, revision=aim), new)

        def reached(at: str, step: str = step) -> None:
            if at == step:
                raise KilledError(at)

        with pytest.raises(KilledError):
            await house.run(house.swaps(reached=reached))
        await house.run(house.swaps())
        await house.swaps().advance()
        assert (await house.last())["step"] == ("done" if new is WELL else "failed"), step
        deployment = await house.api.context.deployments.get("chat")
        assert await house.served() == {deployment.revision} == {aim if new is WELL else served}, step
        assert deployment.canary is None, step


async def test_canary_without_a_second_replica_or_room_for_one_is_refused_and_says_what_to_do(house: SwapHouse) -> None:
    await house.api.client.post("/deployments/chat/scale", json={"replicas": 1})
    house.api.cluster.node_list = (node(cpus=1.0),)
    for _ in range(2):  # the first starts its replica, the second sees it
        await house.api.tick()
    answer = await house.api.client.post("/deployments/chat/swap", json={"revision": house.new, "canary": TERMS})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_canary")
    assert "`roundhouse scale chat 2`" in answer.json()["error"]["message"]
    house.api.cluster.node_list = (node(cpus=8),)
    await house.api.tick()
    assert (await house.start(canary=TERMS))["strategy"] == "surge"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"canary": {"share": 0}}, 422),
        ({"canary": {"share": 1}}, 422),
        ({"canary": {"share": 0.1, "requests": 0}}, 422),
        ({"canary": {"share": 0.1}, "strategy": "restart"}, 409),
    ],
)
async def test_canary_that_cannot_be_is_refused(house: SwapHouse, body: dict[str, Any], status: int) -> None:
    answer = await house.api.client.post("/deployments/chat/swap", json={"revision": house.new} | body)
    assert answer.status_code == status
