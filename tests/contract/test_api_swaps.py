"""Swaps over the API: real store, real files, replicas that do what they are told, and kills at every step."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.contract.swap_house import KilledError, SwapHouse, swap_house
from tests.contract.test_api_imports import bring
from tests.unit.orchestrator.builders import node


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[SwapHouse]:
    async with swap_house(valkey_url, tmp_path) as made:
        yield made


async def test_swap_in_place_takes_one_replica_after_the_other_and_makes_the_revision_active(house: SwapHouse) -> None:
    begun = await house.start()
    assert (begun["strategy"], begun["why"]) == ("in-place", "same architecture, tokenizer and chat template")
    await house.run(house.swaps())
    assert house.replicas.told == ["prepare chat-0", "prepare chat-1", "swap chat-0", "swap chat-1"]
    done = await house.last()
    assert (done["step"], done["active"]) == ("done", False)
    assert await house.served() == {house.new}
    deployment = await house.api.context.deployments.get("chat")
    assert (deployment.revision, deployment.generation) == (house.new, 1), "no process is replaced"


async def test_swap_to_what_differs_in_more_than_numbers_is_a_restart_or_a_surge_and_says_why(
    house: SwapHouse, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    (folder / "generation_config.json").write_text('{"temperature": 0.1}')
    third = (await bring(house.api, folder))["revision"]
    begun = await house.start(revision=third)
    assert begun["strategy"] == "restart"
    assert begun["why"].startswith("generation_config.json differs, and there is no room")
    refused = await house.api.client.post("/deployments/chat/rollback")
    assert refused.json()["reason"] == "It was cancelled."
    house.api.cluster.node_list = (node(cpus=8),)
    await house.api.tick()
    assert (await house.start(revision=third))["strategy"] == "surge"
    await house.api.client.post("/deployments/chat/rollback")
    answer = await house.api.client.post("/deployments/chat/swap", json={"revision": third, "strategy": "in-place"})
    assert (answer.status_code, "cannot be done in place" in answer.text) == (409, True)


async def test_weights_that_a_replica_refuses_leave_the_old_ones_and_say_why(house: SwapHouse) -> None:
    house.replicas.refuses = house.new
    await house.start()
    await house.run(house.swaps())
    failed = await house.last()
    assert (failed["step"], await house.served()) == ("failed", {house.old})
    assert "another architecture" in failed["reason"]
    assert not [each for each in house.replicas.told if each.startswith("swap")]


async def test_rollback_swaps_back_and_once_more_forth(house: SwapHouse) -> None:
    assert (await house.api.client.post("/deployments/chat/rollback")).status_code == 409
    for aim in (house.new, house.old, house.new):
        if aim is house.new and not await house.api.context.swaps.of("chat"):
            await house.start()
        else:
            assert (await house.api.client.post("/deployments/chat/rollback")).status_code == 202
        await house.run(house.swaps())
        assert await house.served() == {aim}


async def test_second_swap_is_refused_or_queued_as_asked(house: SwapHouse) -> None:
    await house.start()
    refused = await house.api.client.post("/deployments/chat/swap", json={"revision": house.old})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "swap_running")
    queued = await house.start(revision=house.old, queue=True)
    assert queued["step"] == "queued"
    await house.run(house.swaps())
    swaps = (await house.api.client.get("/deployments/chat/swaps")).json()
    assert [each["step"] for each in swaps] == ["done", "done"]
    assert await house.served() == {house.old}


async def test_swap_queued_behind_one_that_fails_begins_with_what_is_served_then(
    house: SwapHouse, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    (folder / "generation_config.json").write_text('{"temperature": 0.1}')
    third = (await bring(house.api, folder))["revision"]
    house.replicas.refuses = third
    await house.start(revision=third, strategy="restart")
    await house.start(revision=house.new, queue=True)
    again = await house.start(revision=house.old, queue=True)
    await house.run(house.swaps())
    swaps = (await house.api.client.get("/deployments/chat/swaps")).json()
    assert [each["step"] for each in swaps] == ["failed", "done", "done"]
    assert (swaps[1]["from_revision"], swaps[1]["strategy"]) == (house.old, "in-place")
    assert (again["from_revision"], await house.served()) == (house.new, {house.old})


async def test_deployment_made_anew_knows_nothing_of_the_swaps_of_the_one_before(house: SwapHouse) -> None:
    await house.start()
    journal = await house.api.context.swaps.of("chat")
    await house.api.client.delete("/deployments/chat")
    await house.api.client.put("/deployments/chat", json={"model": "tiny", "engine": "simulated"})
    await house.api.context.store.put_swaps("chat", journal)  # what a step of the old one may still write
    assert (await house.api.client.get("/deployments/chat/swaps")).json() == []
    assert not await house.swaps().advance()


@pytest.mark.parametrize(
    ("body", "status"),
    [({"revision": "sha256:" + "0" * 64}, 404), ({"revision": "x", "strategy": "magic"}, 422), ({}, 422)],
)
async def test_swap_to_what_is_not_there_is_refused(house: SwapHouse, body: dict[str, str], status: int) -> None:
    assert (await house.api.client.post("/deployments/chat/swap", json=body)).status_code == status
    assert (await house.api.client.post("/deployments/none/swap", json={"revision": house.new})).status_code == 404
    served = await house.api.client.post("/deployments/chat/swap", json={"revision": house.old})
    assert (served.status_code, served.json()["error"]["code"]) == (409, "already_served")


async def test_revisions_of_a_swap_and_its_rollback_are_neither_removed_nor_collected(house: SwapHouse) -> None:
    await house.start()
    await house.run(house.swaps())
    for revision in (house.old, house.new):
        answer = await house.api.client.delete(f"/models/tiny/revisions/{revision}")
        assert answer.status_code == 409, revision
    busy = await house.api.client.put("/deployments/chat", json={"model": "tiny", "engine": "simulated"})
    assert busy.status_code == 200
    await house.api.client.post("/deployments/chat/rollback")
    busy = await house.api.client.put("/deployments/chat", json={"model": "tiny", "engine": "simulated"})
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "swap_running")


async def test_orchestrator_killed_at_every_step_of_a_swap_goes_on_where_it_was(house: SwapHouse) -> None:
    """Each step is passed once undisturbed, and the process is killed at each of them in turn."""
    steps: list[str] = []
    await house.start()
    await house.run(house.swaps(reached=steps.append))
    assert {"noted-first", "done-first", "noted-rolling", "noted-done"} <= set(steps)
    aims = [house.old, house.new]
    for number, step in enumerate(dict.fromkeys(steps)):
        aim = aims[number % 2]
        house.replicas.told.clear()
        await house.start(revision=aim)

        def reached(at: str, step: str = step) -> None:
            if at == step:
                raise KilledError(at)

        with pytest.raises(KilledError):
            await house.run(house.swaps(reached=reached))
        await house.run(house.swaps())
        assert (await house.last())["step"] == "done", step
        assert await house.served() == {aim} == {(await house.api.context.deployments.get("chat")).revision}, step
        assert not [each for each in house.replicas.told if each.startswith("end")], step


async def test_replica_with_other_weights_than_the_active_ones_is_told_to_end(house: SwapHouse) -> None:
    stray = (await house.api.context.store.endpoints())[0]
    await house.replicas.add(replace(stray, revision=house.new))
    await house.swaps().advance()
    assert house.replicas.told == ["end chat-0"]


async def test_swap_that_begins_while_the_deployment_is_written_starts_from_what_was_written(house: SwapHouse) -> None:
    deployments = house.api.context.deployments
    await deployments.changing.acquire()
    starting = asyncio.create_task(house.api.context.swaps.start("chat", house.new))
    await asyncio.sleep(0)
    before = await deployments.get("chat")
    await house.api.context.store.put_deployment(replace(before, generation=7), None)
    assert not starting.done()
    deployments.changing.release()
    assert (await starting).generation == 7


async def test_revisions_of_a_deployment_that_is_gone_are_not_kept_for_its_swaps(house: SwapHouse) -> None:
    await house.start()
    store, swaps = house.api.context.store, house.api.context.swaps
    journal = (await store.swaps())["chat"]
    assert await swaps.needed() == {house.old, house.new}
    await house.api.client.delete("/deployments/chat")
    await store.put_swaps("chat", journal)  # a step that was under way
    assert await swaps.needed() == frozenset()
