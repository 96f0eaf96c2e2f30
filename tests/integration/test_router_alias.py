"""Aliases behind a real router: where requests go, what engines are asked for, what clients are told."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.types import ModelStatus, RoutingSettings
from tests.router_harness import (
    MODEL,
    STREAM_HEAD,
    FakeReplica,
    Received,
    Rig,
    chunk,
    event,
    eventually,
    get,
    post,
    rig,
)

OTHER = "other"


@asynccontextmanager
async def two_models(url: str) -> AsyncIterator[Rig]:
    """An alias `gpt` of two models with a replica each: nine parts to one."""
    async with rig(url, FakeReplica("a"), FakeReplica("b", model=OTHER)) as router:
        await router.store.model(OTHER)
        await router.store.alias("gpt", **{MODEL: 90, OTHER: 10})
        table = router.router.core.table
        await eventually(lambda: "gpt" in table.aliases and OTHER in table.models)
        await eventually(lambda: all(model.ready_replicas for model in table.models.values()))
        yield router


async def test_request_to_an_alias_asks_the_engine_for_its_own_model_and_is_otherwise_as_it_was(
    valkey_url: str,
) -> None:
    async with two_models(valkey_url) as router:
        body = {"messages": [{"role": "user", "content": "Wie heißt Ω?"}], "model": "gpt", "seed": 1.50, "user": "u"}
        assert (await router.ask(post(body))).status == 200
        (received,) = [*router.replicas["a"].requests, *router.replicas["b"].requests]
        model = MODEL if router.replicas["a"].requests else OTHER
        assert json.loads(received.body) == body | {"model": model}
        assert b"1.5" in received.body
        assert received.header("content-length") == str(len(received.body))
        assert sum(router.codes(model).values()) == 1, "it is counted for the model that answered"


async def test_alias_shares_sessions_by_weight_and_keeps_each_where_it_is(valkey_url: str) -> None:
    async with two_models(valkey_url) as router:
        client = await router.client()
        went: dict[str, set[str]] = {}
        for turn in range(2):
            for number in range(300):
                # By header in the first turn, by the body's field in the second: it is the same session.
                session = f"session-{number}"
                asked = post({"model": "gpt", "user": session} if turn else {"model": "gpt"},
                             headers={} if turn else {"x-session-id": session})  # fmt: skip
                await client.send(asked)
                answer = await client.answer()
                assert answer.status == 200
                went.setdefault(session, set()).add(answer.headers["x-roundhouse-replica"])
        counts = Counter(frozenset(each) for each in went.values())
        assert set(counts) == {frozenset("a"), frozenset("b")}
        assert 12 <= counts[frozenset("b")] <= 52, "within four standard deviations of 30"
        client.close()


async def test_body_whose_field_names_are_no_utf8_is_refused_and_the_connection_goes_on(valkey_url: str) -> None:
    async with two_models(valkey_url) as router:
        client = await router.client()
        await client.send(post(b'{"model":"gpt","\xff":1}'))
        answer = await client.answer()
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_json")
        await client.send(post({"model": "gpt"}))
        assert (await client.answer()).status == 200
        client.close()


async def test_stream_of_an_alias_comes_as_the_model_writes_it(valkey_url: str) -> None:
    async def stream(request: Received) -> None:
        await request.send(STREAM_HEAD + chunk(event("Hi") + b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async with two_models(valkey_url) as router:
        for replica in router.replicas.values():
            replica.behaviour = stream
        answer = await router.ask(post({"model": "gpt", "stream": True, "messages": []}))
        assert answer.body == event("Hi") + b"data: [DONE]\n\n"


async def test_alias_passes_over_a_model_that_failed_and_is_listed_as_ready(valkey_url: str) -> None:
    async with two_models(valkey_url) as router:
        await router.store.withdraw("a")
        await router.store.model(MODEL, ModelStatus.FAILED, detail="no memory")
        models = router.router.core.table.models
        await eventually(lambda: models[MODEL].status() is ModelStatus.FAILED)
        for number in range(20):
            answer = await router.ask(post({"model": "gpt", "user": f"u{number}"}))
            assert (answer.status, answer.headers["x-roundhouse-replica"]) == (200, "b")
        listed = {each["id"]: each for each in (await router.ask(get("/v1/models", key="rh-test-key"))).json["data"]}
        assert (listed["gpt"]["status"], listed[MODEL]["status"]) == ("ready", "failed")
        assert listed["gpt"]["description"] == "alias: 90% tiny, 10% other"
        shown = await router.ask(get("/v1/models/gpt", key="rh-test-key"))
        assert shown.json == listed["gpt"]


async def test_alias_whose_models_all_failed_says_so(valkey_url: str) -> None:
    async with two_models(valkey_url) as router:
        for name, replica in ((MODEL, "a"), (OTHER, "b")):
            await router.store.withdraw(replica)
            await router.store.model(name, ModelStatus.FAILED, detail="no memory")
        models = router.router.core.table.models
        await eventually(lambda: all(model.status() is ModelStatus.FAILED for model in models.values()))
        answer = await router.ask(post({"model": "gpt"}))
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        listed = await router.ask(get("/v1/models/gpt", key="rh-test-key"))
        assert (listed.json["status"], listed.json["detail"]) == ("failed", "no memory")


async def test_alias_of_what_is_not_deployed_is_no_unknown_name(valkey_url: str) -> None:
    async with rig(valkey_url) as router:
        await router.store.alias("gpt", nothing=1)
        await router.store.model(routing=RoutingSettings(cold_start_timeout_s=0))
        await eventually(lambda: "gpt" in router.router.core.table.aliases)
        answer = await router.ask(post({"model": "gpt"}))
        assert (answer.status, answer.error["code"]) == (503, "alias_without_model")
        assert (await router.ask(post({"model": "gpt-9"}))).status == 404
