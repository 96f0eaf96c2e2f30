"""The orchestrator's store against a real Valkey."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import msgspec
import pytest
import redis as sync_redis
from msgspec import structs

from orchestrator.deployments import Deployments
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError, StoreUnavailableError
from orchestrator.reconcile import spec_digest
from orchestrator.sentences import quoted
from orchestrator.store import Store
from orchestrator.types import DEPLOYMENTS_KEY, Deployment, DeploymentWish, Model, ModelState, Revision
from replicas.types import (
    ENDPOINT_IDS_KEY,
    ReplicaSpec,
    endpoint_key,
    failure_key,
    spec_key,
)
from router.types import (
    CATALOG_KEY,
    ROUTER_IDS_KEY,
    CatalogEntry,
    ModelLoad,
    ModelStatus,
    RouterReport,
    RoutingSettings,
    router_report_key,
)
from tests.conftest import ValkeyProcess
from tests.unit.orchestrator.builders import endpoint, failure, outside

REVISION = Revision(digest="sha256:a", arrival="1", source="/m", state=ModelState.READY, path="/m", created_at=1.0)
MODEL = Model(name="m", revision="sha256:a", revisions=(REVISION,), created_at=1.0)
WISH = DeploymentWish(model="m", drain_deadline_s=1.0)


async def test_model_when_put_and_deleted_is_there_and_gone(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        await store.put_model(MODEL)
        assert await store.models() == {"m": MODEL}
        await store.delete_model("m")
        assert await store.models() == {}


async def test_deployment_when_put_writes_what_its_replicas_will_read(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        await store.put_model(MODEL)
        await Deployments(store).put("chat", WISH)
    with sync_redis.Redis.from_url(valkey_url) as client:
        spec = msgspec.json.decode(client.get(spec_key("chat")), type=ReplicaSpec)
        wanted = spec_digest(msgspec.json.decode(client.hget(DEPLOYMENTS_KEY, "chat"), type=Deployment))
    assert spec.spec_digest == wanted
    assert (spec.deployment, spec.model, spec.revision, spec.weights_path) == ("chat", "chat", "sha256:a", "/m")


async def test_deployment_put_again_replaces_replicas_only_for_new_weights(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        deployments = Deployments(store)
        await store.put_model(MODEL)
        first = await deployments.put("chat", WISH)
        same = await deployments.put("chat", WISH)
        newer = structs.replace(REVISION, digest="sha256:b")
        await store.put_model(structs.replace(MODEL, revision="sha256:b", revisions=(REVISION, newer)))
        other = await deployments.put("chat", WISH)
    assert (first.generation, same.generation, other.generation) == (1, 1, 2)
    assert other.created_at == first.created_at


async def test_deployment_of_weights_that_are_not_ready_is_refused(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        deployments = Deployments(store)
        await store.put_model(Model(name="m", created_at=1.0, failure=quoted("no weights")))
        with pytest.raises(ConflictError, match="no weights"):
            await deployments.put("chat", WISH)
        with pytest.raises(NotFoundError):
            await deployments.put("chat", structs.replace(WISH, model="other"))
        with pytest.raises(InvalidRequestError, match="model"):
            await deployments.put("chat", structs.replace(WISH, model=None))
        with pytest.raises(InvalidRequestError, match="trust_remote_code"):
            await deployments.put("chat", structs.replace(WISH, engine_args={"trust_remote_code": True}))
        assert await store.deployments() == {}


async def test_deployments_when_renewed_have_the_spec_of_this_version_and_no_old_failure(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        deployments = Deployments(store)
        await store.put_model(MODEL)
        await deployments.put("chat", WISH)
        with sync_redis.Redis.from_url(valkey_url) as client:
            written = client.get(spec_key("chat"))
            client.set(spec_key("chat"), b"{}")
            client.set(failure_key("chat"), msgspec.json.encode(failure()))
            await deployments.renew()
            assert client.get(spec_key("chat")) == written
        assert await store.failures(["chat"]) == {}


async def test_endpoint_whose_lease_ended_is_swept_from_the_index(valkey_url: str) -> None:
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ENDPOINT_IDS_KEY, "chat-1", "chat-2")
        client.set(endpoint_key("chat-1"), msgspec.json.encode(endpoint()))
        async with Store(valkey_url) as store:
            assert await store.endpoints() == (endpoint(),)
        assert client.smembers(ENDPOINT_IDS_KEY) == {b"chat-1"}


async def test_deployment_that_only_engines_outside_serve_has_no_spec_for_replicas(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        deployments = Deployments(store)
        await store.put_model(MODEL)
        await deployments.put("chat", WISH)
        only = DeploymentWish(engine=None, replicas=0, external=(outside(),))
        await deployments.put("chat", only)
        await deployments.put("far", only)
        with sync_redis.Redis.from_url(valkey_url) as client:
            assert client.ttl(spec_key("chat")) > 0, "a replica that is starting may still read it"
            assert not client.exists(spec_key("far"))
        await deployments.put("chat", WISH)
        await deployments.renew()
        with sync_redis.Redis.from_url(valkey_url) as client:
            assert client.ttl(spec_key("chat")) == -1


async def test_deployment_written_before_routing_could_be_set_has_the_defaults(valkey_url: str) -> None:
    old = b'{"name":"chat","model":"m","engine":"vllm","replicas":2,"created_at":1.0,"updated_at":1.0}'
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.hset(DEPLOYMENTS_KEY, "chat", old)
    async with Store(valkey_url) as store:
        found = (await store.deployments())["chat"]
    assert (found.routing, found.external, found.replicas) == (RoutingSettings(), (), 2)


async def test_reports_of_routers_that_went_silent_are_swept_from_the_index(valkey_url: str) -> None:
    report = RouterReport(router_id="a", at=1.0, models={"chat": ModelLoad(queued=3)})
    with sync_redis.Redis.from_url(valkey_url) as client:
        client.sadd(ROUTER_IDS_KEY, "a", "b")
        client.set(router_report_key("a"), msgspec.json.encode(report))
        async with Store(valkey_url) as store:
            assert await store.routers() == (report,)
            assert client.smembers(ROUTER_IDS_KEY) == {b"a"}
            client.delete(router_report_key("a"))
            assert await store.routers() == ()
            assert await store.routers() == ()


async def test_catalog_when_put_is_published_to_those_who_listen(valkey_url: str) -> None:
    entry = CatalogEntry(name="chat", created=1, status=ModelStatus.READY)
    async with Store(valkey_url) as store, aclosing(cast(AsyncGenerator[str], store.changes())) as changes:
        heard = asyncio.ensure_future(anext(changes))
        with sync_redis.Redis.from_url(valkey_url) as client:
            # The server alone knows when the subscription holds.
            while not client.pubsub_numsub("roundhouse:changes")[0][1]:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await store.put_catalog({"chat": entry}, [])
            assert await heard == "catalog"
            await store.put_catalog({}, ["chat"])
            assert client.hgetall(CATALOG_KEY) == {}


async def test_login_token_is_taken_once(valkey_url: str) -> None:
    async with Store(valkey_url) as store:
        await store.put_login_token("d", "digest", 60)
        assert await store.take_login_token("d") == "digest"
        assert await store.take_login_token("d") is None


async def test_store_that_is_away_is_told_in_a_sentence_and_comes_back(own_valkey: ValkeyProcess) -> None:
    async with Store(own_valkey.url) as store:
        await store.put_model(MODEL)
        own_valkey.stop()
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            await store.models()
        own_valkey.start()
        assert await store.models() == {}
