"""What a router measures of itself, as Prometheus reads it."""

import asyncio
import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio as redis
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from router.types import (
    CREDENTIALS_KEY,
    ROUTER_IDS_KEY,
    Credential,
    CredentialKind,
    PolicyName,
    Priority,
    Role,
    RouterReport,
    RoutingSettings,
    key_use_key,
    router_report_key,
)
from tests.conftest import ValkeyProcess
from tests.router_harness import (
    MODEL,
    STREAM_HEAD,
    Answer,
    FakeReplica,
    RawClient,
    Received,
    Rig,
    StoreWriter,
    chunk,
    digest,
    event,
    eventually,
    get,
    post,
    rig,
    unary_bytes,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
DONE = b"data: [DONE]\n\n"
PROMPT = "tell me of the secret garden " * 200
UNARY = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
STREAMED = UNARY | {"stream": True}
USAGE: dict[str, Any] = {"prompt_tokens": 31, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}


async def stream(request: Received) -> None:
    pause_s = 0.03
    await request.send(STREAM_HEAD)
    for text in ("one", "two", "three"):
        await request.send(chunk(event(text)))
        await asyncio.sleep(pause_s)
    await request.send(chunk(DONE) + b"0\r\n\r\n")


async def answer_with_usage(request: Received) -> None:
    await request.send(unary_bytes(json.dumps({"choices": [], "usage": USAGE}).encode()))


async def as_asked(request: Received) -> None:
    await (stream if b'"stream": true' in request.body else answer_with_usage)(request)


async def break_off(request: Received) -> None:
    await request.send(STREAM_HEAD + chunk(event("one")))
    request.reset()


async def close_at_once(request: Received) -> None:
    request.writer.close()


async def hang(request: Received) -> None:
    await request.gone.wait()


async def scrape(ops_port: int, headers: dict[str, str] | None = None) -> Answer:
    client = await RawClient.connect(ops_port)
    await client.send(get("/metrics", headers=headers))
    answer = await client.answer()
    client.close()
    return answer


async def samples(router: Rig) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, by name and labels."""
    families = parse_text((await scrape(router.ops_port)).body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sums(found: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> dict[str, float]:
    """Every sample's value, over all labels, by name."""
    total: dict[str, float] = {}
    for (name, _), value in found.items():
        total[name] = total.get(name, 0.0) + value
    return total


def documented() -> set[str]:
    """Metrics of the table in the documents."""
    table = DOCS.read_text().split("## Metrics of the router")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


async def everything_happens(router: Rig) -> None:
    """Requests that end in each of the ways that are counted."""
    good, bad = router.replicas["good"], router.replicas["bad"]
    good.behaviour = as_asked
    router.busy("bad", 50)
    for body in (UNARY, UNARY, STREAMED):
        assert (await router.ask(post(body))).status == 200
    router.busy("bad", 0)
    # Refused by one, answered by the other.
    router.busy("good", 50)
    bad.behaviour = close_at_once
    assert (await router.ask(post({"model": MODEL, "input": "x"}, path="/v1/embeddings"))).status == 200
    # Lost in the middle.
    router.busy("good", 0)
    router.busy("bad", 50)
    good.behaviour = break_off
    client = await router.client()
    await client.send(post(STREAMED | {"n": 2}))
    assert b"replica_lost" in (await client.answer()).body
    client.close()
    # Kills two engines.
    good.behaviour = close_at_once
    assert (await router.ask(post({"model": MODEL, "prompt": "poison"}, path="/v1/completions"))).status == 422
    assert (await router.ask(post({"model": "never heard of"}))).status == 404


async def too_much_waits(router: Rig, store: StoreWriter) -> list[RawClient]:
    """One request runs, one waits, and one more is turned away. Returns the clients that are served."""
    router.replicas["narrow"].behaviour = hang
    dispatcher = router.router.core.table.models["narrow"]
    clients = []
    for number in range(2):
        client = await router.client()
        await client.send(post({"model": "narrow", "prompt": f"{number}"}, path="/v1/completions"))
        clients.append(client)
        await eventually(lambda number=number: dispatcher.window.arrivals_total > number)  # type: ignore[misc]
    assert (await router.ask(post({"model": "narrow", "prompt": "3"}, path="/v1/completions"))).status == 429
    return clients


async def test_every_documented_metric_exists_and_moves(own_valkey: ValkeyProcess) -> None:
    replicas = (FakeReplica("good"), FakeReplica("bad"), FakeReplica("narrow", model="narrow"))
    store = StoreWriter(own_valkey.url)
    narrow = RoutingSettings(queue_requests=1, max_in_flight=1)
    await store.model("narrow", routing=narrow)
    async with rig(own_valkey.url, *replicas, access_log="/dev/full") as router:
        await eventually(lambda: bool(router.router.core.table.models["narrow"].replicas))
        before = sums(await samples(router))
        await everything_happens(router)
        clients = await too_much_waits(router, store)
        narrow_load = router.router.core.table.models["narrow"].load
        await eventually(lambda: narrow_load(time.monotonic()).oldest_wait_s > 0)
        waiting = sums(await samples(router))
        assert waiting["roundhouse_router_queued"] == 1
        assert waiting["roundhouse_router_oldest_wait_seconds"] > 0
        assert waiting["roundhouse_router_in_flight"] == 2
        await store.withdraw("bad")
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 1)
        own_valkey.stop()
        await eventually(lambda: not router.router.core.telemetry.store_connected)
        for client in clients:
            client.close()
        await eventually(lambda: router.codes("narrow").get(499) == 2)
        await eventually(lambda: router.router.core.telemetry.log_lines_lost() > 0)
        after = sums(await samples(router))
    await store.client.aclose()
    moved = {
        name for name in waiting | after if before.get(name) != after.get(name) or before.get(name) != waiting[name]
    }
    missing, still = set(), set()
    for name in documented():
        of_name = {sample for sample in after if sample in (name, f"{name}_count")}
        if not of_name:
            missing.add(name)
        elif not of_name & moved and not name.startswith("process_"):
            still.add(name)
    assert (missing, still) == (set(), set())
    exposed = {re.sub(r"_(bucket|sum|count)$", "", name) for name in after if name.startswith("roundhouse_")}
    assert exposed <= documented()


async def test_times_are_by_model_and_class(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1", stream)) as router:
        urgent = Credential(
            id="k2", name="urgent", role=Role.USER, kind=CredentialKind.KEY, created_at=1.0, max_priority=Priority.HIGH
        )
        await router.store.client.hset(CREDENTIALS_KEY, digest("urgent"), msgspec.json.encode(urgent))
        await router.store.announce("credentials")
        await eventually(lambda: digest("urgent") in (router.router.core.table.credentials or {}))
        headers = {"x-roundhouse-priority": "high"}
        assert (await router.ask(post(STREAMED, key="urgent", headers=headers))).status == 200
        assert (await router.ask(post(STREAMED, headers={"x-roundhouse-priority": "low"}))).status == 200
        found = await samples(router)

    def of(name: str, kind: str) -> float:
        return found[f"roundhouse_router_{name}", frozenset({"model": MODEL, "class": kind}.items())]

    for kind in ("high", "low"):
        for name in ("duration_seconds", "time_to_first_token_seconds", "queue_seconds"):
            assert of(f"{name}_count", kind) == 1
        # Three events and the end, 30 ms apart: what they sum up to is what they are.
        assert of("inter_token_seconds_count", kind) == 3
        assert 0.08 < of("inter_token_seconds_sum", kind) < of("duration_seconds_sum", kind)
        assert of("time_to_first_token_seconds_sum", kind) < of("inter_token_seconds_sum", kind)
        assert found[
            "roundhouse_router_requests_total", frozenset({"model": MODEL, "class": kind, "code": "200"}.items())
        ]


async def test_waiting_is_measured(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        await router.store.model(routing=RoutingSettings(max_in_flight=1))
        view = router.router.core.table.models[MODEL].replicas[0]
        await eventually(lambda: view.limit == 1)
        first, second = await router.client(), await router.client()
        router.replicas["r1"].behaviour = hang
        await first.send(post({"model": MODEL}))
        await router.replicas["r1"].arrived.get()
        router.replicas["r1"].behaviour = as_asked
        await second.send(post({"model": MODEL}))
        await eventually(lambda: len(router.router.core.table.models[MODEL].queue) == 1)
        load = router.router.core.table.models[MODEL].load
        await eventually(lambda: load(time.monotonic()).oldest_wait_s >= 0.11)
        first.close()
        answer = await second.answer()
        second.close()
        assert int(answer.headers["x-roundhouse-queue-ms"]) >= 100
        assert sums(await samples(router))["roundhouse_router_queue_seconds_sum"] >= 0.1


def _exemplars(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    families: Iterable[Metric] = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    for family in families:
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(family.name, set()).add(sample.exemplar.labels["request_id"])
    return found


async def test_openmetrics_has_exemplars_with_request_ids(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1", as_asked)) as router:
        too_long = "x" * 128
        for name in ("first", too_long):
            assert (await router.ask(post(STREAMED, headers={"x-request-id": name}))).status == 200
        answer = await scrape(router.ops_port, OPENMETRICS)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        text = answer.body.decode()
        assert text.endswith("# EOF\n")
        # The parser refuses exemplars longer than the standard allows.
        exemplars = _exemplars(text)
        assert too_long not in {each for of_family in exemplars.values() for each in of_family}
        assert (await router.ask(post(STREAMED, headers={"x-request-id": "last"}))).status == 200
        exemplars = _exemplars((await scrape(router.ops_port, OPENMETRICS)).body.decode())
        for name in ("duration_seconds", "time_to_first_token_seconds"):
            assert "last" in exemplars[f"roundhouse_router_{name}"]
        plain = await scrape(router.ops_port)
        assert plain.headers["content-type"].startswith("text/plain")
        assert b"request_id" not in plain.body


async def test_labels_are_bounded_by_the_catalog(valkey_url: str) -> None:
    async with rig(valkey_url, FakeReplica("r1")) as router:
        for number in range(20):
            headers = {
                "x-request-id": f"id-{number}",
                "x-session-id": f"s{number}",
                "x-roundhouse-priority": f"p{number}",
            }
            await router.ask(post({"model": f"made-up-{number}"}, headers=headers))
            await router.ask(post({"model": MODEL, "user": f"u{number}"}, headers=headers))
            await router.ask(post(key=f"key-{number}"))
        found = await samples(router)
    values: dict[str, set[str]] = {}
    for name, labels in found:
        for label, value in labels:
            if name.startswith("roundhouse_") and label != "le":
                values.setdefault(label, set()).add(value)
    assert values.pop("model") == {MODEL, "unknown"}
    assert values.pop("code") == {"200", "401", "404"}
    assert values.pop("class") == {"normal"}
    assert {label: len(each) < 5 for label, each in values.items()} == dict.fromkeys(values, True)


@pytest.mark.parametrize("policy", list(PolicyName))
async def test_every_choice_has_a_reason(valkey_url: str, policy: PolicyName) -> None:
    async with rig(valkey_url, FakeReplica("r1"), FakeReplica("r2")) as router:
        await router.store.model(routing=RoutingSettings(policy=policy))
        await eventually(lambda: router.router.core.table.models[MODEL].entry.routing.policy is policy)
        assert (await router.ask(post(UNARY))).status == 200
        found = await samples(router)
    reasons = [dict(labels)["reason"] for name, labels in found if name == "roundhouse_router_choices_total"]
    assert len(reasons) == 1
    assert reasons[0]


async def test_what_ended_is_published_by_model_and_what_a_key_used_is_written_down(valkey_url: str) -> None:
    answer = json.dumps({"choices": [{"message": {"content": "yes"}}], "usage": USAGE}).encode()

    async def behave(request: Received) -> None:
        await request.send(unary_bytes(answer))

    async with rig(valkey_url, FakeReplica("one", behave)) as ready:
        for _ in range(3):
            assert (await ready.ask(post(UNARY))).status == 200
        assert (await ready.ask(post(UNARY | {"model": "nobody"}))).status == 404
        async with redis.Redis.from_url(valkey_url) as store, asyncio.timeout(10):
            while True:
                (name,) = await store.smembers(ROUTER_IDS_KEY)
                assert isinstance(name, bytes)
                record = await store.get(router_report_key(name.decode()))
                report = msgspec.json.decode(record or b"", type=RouterReport)
                if MODEL in report.totals and report.totals[MODEL].requests == 3:
                    break
                await asyncio.sleep(0.05)
            assert report.totals[MODEL].generated_tokens == 3 * USAGE["completion_tokens"]
            assert sum(report.totals[MODEL].first_token_s) == sum(report.totals[MODEL].queue_s) == 3
            assert set(report.totals) == {MODEL}, "names that clients make up are no models"
            (credential, *_) = (ready.router.core.table.credentials or {}).values()
            while not (use := await store.hgetall(key_use_key(credential.id))):  # noqa: ASYNC110  # another process tells
                await asyncio.sleep(0.05)
            assert int(use[b"requests"]) == 4
            assert int(use[b"generated_tokens"]) == 3 * USAGE["completion_tokens"]
            assert float(use[b"last_used_at"]) == pytest.approx(time.time(), abs=60)
