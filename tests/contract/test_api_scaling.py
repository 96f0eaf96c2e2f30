"""The autoscaler over the API: real store, routers that report what a test says, a Ray that does as it is told."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from orchestrator.application_names import application_name
from orchestrator.autoscaler import Autoscaler
from orchestrator.reconcile import spec_digest
from orchestrator.sentences import Saying, say
from orchestrator.swap_types import Swap, SwapStrategy
from orchestrator.types import StartApplication, Weights
from replicas.store import open_store
from replicas.types import ENDPOINT_IDS_KEY, EngineKind, endpoint_key, failure_key
from router.types import ROUTER_IDS_KEY, ModelLoad, ModelStatus, RouterReport, router_report_key
from tests.contract.api_house import ApiHouse, api_house
from tests.unit.orchestrator.builders import endpoint, failure

SCALING = {"min_replicas": 0, "max_replicas": 3, "idle_timeout_s": 60}


@dataclass
class ScalingHouse:
    api: ApiHouse
    store: Redis
    autoscaler: Autoscaler
    now: list[float]

    async def deploy(self, **more: Any) -> dict[str, Any]:
        answer = await self.api.client.put(
            "/deployments/chat", json={"engine": "simulated", "scaling": SCALING, **more}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def report(self, **load: Any) -> None:
        report = RouterReport(router_id="r", at=self.now[0], models={"chat": ModelLoad(**load)})
        await self.store.sadd(ROUTER_IDS_KEY, "r")
        await self.store.set(router_report_key("r"), msgspec.json.encode(report))

    async def look(self, seconds: int = 1, **load: Any) -> None:
        """So many seconds go by with this load, and the autoscaler looks at each."""
        for _ in range(seconds):
            self.now[0] += 1.0
            await self.report(**load)
            await self.autoscaler.step()

    async def serve(self, count: int = 1) -> None:
        """So many replicas are ready, from now on."""
        deployment = await self.api.context.deployments.get("chat")
        digest = spec_digest(deployment)
        for slot in range(count):
            told = endpoint(
                number=slot,
                spec_digest=digest,
                application=application_name("chat", digest, slot),
                engine=EngineKind.SIMULATED,
                revision="simulated",
                started_at=self.now[0],
                state_since=self.now[0],
            )
            await self.store.sadd(ENDPOINT_IDS_KEY, told.replica_id)
            await self.store.set(endpoint_key(told.replica_id), msgspec.json.encode(told))

    async def replicas(self) -> int:
        return int((await self.api.client.get("/deployments/chat")).json()["replicas"])

    async def records(self) -> list[dict[str, Any]]:
        return list((await self.api.client.get("/deployments/chat/scaling")).json()["records"])


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ScalingHouse]:
    now = [time.time()]
    async with api_house(valkey_url, tmp_path) as api, open_store(valkey_url) as store:
        yield ScalingHouse(api, store, autoscaler_of(api, now), now)


def autoscaler_of(api: ApiHouse, now: list[float]) -> Autoscaler:
    context = api.context
    return Autoscaler(
        context.store,
        context.deployments,
        lambda: context.loop.observed,
        context.loop.wake,
        context.changes,
        clock=lambda: now[0],
    )


async def fall_asleep(house: ScalingHouse) -> None:
    await house.deploy()
    await house.serve()
    await house.look(90)
    assert await house.replicas() == 0


async def test_deployment_that_may_sleep_begins_with_one_replica_and_then_sleeps(house: ScalingHouse) -> None:
    shown = await house.deploy()
    assert (shown["replicas"], shown["scaling"]["max_replicas"]) == (1, 3)
    await house.serve()
    await house.look(30)
    assert await house.replicas() == 1, "the idle timeout is not over"
    await house.look(60)
    assert await house.replicas() == 0
    await house.api.tick()
    assert (await house.api.client.get("/deployments/chat")).json()["state"] == "asleep"
    assert (await house.api.context.store.catalog())["chat"].status is ModelStatus.ASLEEP
    (record,) = await house.records()
    assert (record["before"], record["granted"], "sleeps" in record["reason"]) == (1, 0, True)
    assert (record["cause"], record["values"].keys()) == ("sleeps", {"idle_s"})


async def test_request_for_a_sleeping_model_starts_a_replica_at_the_next_look(house: ScalingHouse) -> None:
    await fall_asleep(house)
    await house.api.tick()
    started = len([each for each in house.api.cluster.actions if isinstance(each, StartApplication)])
    await house.look(queued=1, queued_tokens=20, arrivals_total=1, prompt_tokens_total=20)
    await house.api.tick()
    assert await house.replicas() == 1
    starts = [each for each in house.api.cluster.actions if isinstance(each, StartApplication)]
    assert len(starts) == started + 1
    record = (await house.records())[-1]
    assert (record["before"], record["granted"], record["inputs"]["queued"]) == (0, 1, 1)


async def test_number_set_by_hand_holds_whatever_the_load_until_its_time_is_over(house: ScalingHouse) -> None:
    await fall_asleep(house)
    answer = await house.api.client.post("/deployments/chat/scale", json={"replicas": 2})
    assert answer.json()["override"] == {"replicas": 2, "until": None}
    await house.serve(2)
    await house.look(300)
    assert await house.replicas() == 2
    assert (await house.api.client.post("/deployments/chat/scale", json={"auto": True})).json()["override"] is None
    await house.look(200)
    assert await house.replicas() == 0


async def test_number_set_by_hand_for_a_time_ends_with_it_and_both_are_on_record(house: ScalingHouse) -> None:
    await fall_asleep(house)
    await house.api.client.post("/deployments/chat/scale", json={"replicas": 2, "for_s": 100})
    await house.serve(2)
    await house.look(50)
    assert await house.replicas() == 2
    await house.look(150)
    await house.api.tick()
    shown = (await house.api.client.get("/deployments/chat")).json()
    assert (shown["replicas"], shown["override"], shown["state"]) == (0, None, "asleep")
    assert [(each["before"], each["granted"]) for each in await house.records()] == [(1, 0), (0, 2), (2, 0)]


async def test_deployment_that_cannot_start_keeps_its_number_and_its_reason(house: ScalingHouse) -> None:
    await house.deploy()
    deployment = await house.api.context.deployments.get("chat")
    told = failure(permanent=True, spec_digest=spec_digest(deployment), revision=deployment.revision)
    await house.store.set(failure_key("chat"), msgspec.json.encode(told))
    await house.api.tick()
    await house.look(200, queued=1, queued_tokens=20, arrivals_total=1)
    await house.api.tick()
    shown = (await house.api.client.get("/deployments/chat")).json()
    assert (shown["state"], shown["reason"], shown["replicas"]) == ("failed", "no memory", 1)
    assert (await house.api.context.store.catalog())["chat"].status is ModelStatus.FAILED


async def test_swap_that_runs_keeps_the_number_of_replicas(house: ScalingHouse) -> None:
    await house.deploy()
    await house.serve()
    weights = Weights("sha256:a", ""), Weights("sha256:b", "")
    now = (await house.api.context.deployments.get("chat")).created_at
    swap = Swap(
        id="s", deployment="chat", before=weights[0], after=weights[1], strategy=SwapStrategy.IN_PLACE,
        why=say(Saying.ASKED_FOR), started_at=now, step_since=now,
    )  # fmt: skip
    await house.api.context.store.put_swaps("chat", (swap,))
    await house.look(120)
    assert await house.replicas() == 1
    await house.api.context.store.put_swaps("chat", ())
    await house.look(2)
    assert await house.replicas() == 0


async def test_autoscaler_that_starts_again_remembers_its_records(house: ScalingHouse) -> None:
    await fall_asleep(house)
    before = await house.records()
    house.autoscaler = autoscaler_of(house.api, house.now)
    await house.look(queued=1, queued_tokens=20, arrivals_total=1)
    assert [each["granted"] for each in await house.records()] == [*(each["granted"] for each in before), 1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "say either how many"),
        ({"replicas": 1, "auto": True}, "say either how many"),
        ({"auto": True, "for_s": 3}, "auto needs no time"),
        ({"replicas": 1, "for_s": 60}, "is fixed"),
        ({"auto": True}, "is fixed"),
    ],
)
async def test_scale_of_a_fixed_number_refuses_what_makes_no_sense(
    house: ScalingHouse, body: dict[str, Any], words: str
) -> None:
    await house.deploy(scaling=None)
    refused = await house.api.client.post("/deployments/chat/scale", json=body)
    assert refused.status_code in (400, 422)
    assert words in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ({"min_replicas": 3, "max_replicas": 2}, "cannot be"),
        ({"max_replicas": 2, "schedules": [{"cron": "x", "duration_s": 60, "min_replicas": 1}]}, "does not say when"),
        (
            {"max_replicas": 1, "schedules": [{"cron": "0 8 * * *", "duration_s": 60, "min_replicas": 2}]},
            "more than the maximum",
        ),
        (
            {
                "max_replicas": 2,
                "schedules": [{"cron": "0 8 * * *", "duration_s": 60, "min_replicas": 2, "time_zone": "Mars/Olympus"}],
            },
            "not a time zone",
        ),
    ],
)
async def test_settings_that_cannot_be_followed_are_refused_with_a_sentence(
    house: ScalingHouse, scaling: dict[str, Any], words: str
) -> None:
    body = {"engine": "simulated", "scaling": scaling}
    refused = await house.api.client.put("/deployments/chat", json=body)
    assert (refused.status_code, words in refused.json()["error"]["message"]) == (422, True), refused.text
