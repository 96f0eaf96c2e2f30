"""A canary behind a real router: its share, who stays where, and what is told of how it fares."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator.judge import Verdict, judge
from orchestrator.load import total_canary
from orchestrator.store import Store
from orchestrator.swap_types import CanaryTerms
from router.types import Canary, CanaryCounts
from tests.router_harness import MODEL, FakeReplica, RawClient, Received, Rig, eventually, post, rig, unary_bytes

OLD, NEW = "sha256:abc", "sha256:def"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}


async def answer_in_words(request: Received) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Because."}, "finish_reason": "stop"}
    await request.send(unary_bytes(json.dumps({"choices": [choice], "usage": {"completion_tokens": 2}}).encode()))


@asynccontextmanager
async def canary(url: str, share: float, new: FakeReplica) -> AsyncIterator[Rig]:
    """An old replica and `new` beside it, which gets its share."""
    async with rig(url, FakeReplica("old", answer_in_words)) as router:
        await new.start()
        await router.store.model(canary=Canary(id="swap-1", revision=NEW, share=share))
        await router.store.endpoint(new.endpoint(revision=NEW))
        model = router.router.core.table.models[MODEL]
        await eventually(lambda: model.canary is not None and model.ready_replicas == 2)
        yield router
        await new.stop()


async def ask(client: RawClient, session: str = "") -> tuple[int, str]:
    """Status and replica of the answer."""
    await client.send(post(CHAT, headers={"x-roundhouse-session": session} if session else {}))
    answer = await client.answer()
    return answer.status, answer.headers.get("x-roundhouse-replica", "")


async def told_of(url: str, answers: int) -> CanaryCounts:
    """What the router has published, once it has of so many answers."""
    async with Store(url) as store, asyncio.timeout(10):
        while True:
            counts = total_canary(await store.routers(), MODEL, "swap-1")
            if counts.old.answered + counts.new.answered >= answers:
                return counts
            await asyncio.sleep(0.02)  # a report tells nobody that it has come


async def test_canary_gets_its_share_of_the_sessions_and_each_stays_where_it_is(valkey_url: str) -> None:
    async with canary(valkey_url, 0.1, FakeReplica("new", answer_in_words)) as router:
        client = await router.client()
        first = {number: await ask(client, f"session-{number}") for number in range(300)}
        again = {number: await ask(client, f"session-{number}") for number in range(300)}
        assert first == again
        counts = Counter(first.values())
        assert set(counts) == {(200, "old"), (200, "new")}
        assert 10 <= counts[200, "new"] <= 52, "within four standard deviations of 30"
        client.close()


async def test_canary_that_breaks_off_is_hidden_from_clients_counted_and_sent_back(valkey_url: str) -> None:
    async def break_off(request: Received) -> None:
        request.reset()

    async with canary(valkey_url, 0.5, FakeReplica("new", break_off)) as router:
        client = await router.client()
        assert {await ask(client) for _ in range(60)} == {(200, "old")}
        client.close()
        counts = await told_of(valkey_url, 60)
        assert counts.new.answered == 0
        assert counts.new.failed >= 3, "after that it is left alone for a while"
        assert counts.old.failed == 0
        judgement = judge(counts, CanaryTerms(share=0.5), 10.0)
        assert judgement.verdict is Verdict.ROLL_BACK
        assert "attempts failed with the new revision, 0 of 60 with the old one" in str(judgement.reason)


async def test_answers_of_both_revisions_are_counted_and_published(valkey_url: str) -> None:
    async def cut(request: Received) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Be"}, "finish_reason": "length"}
        await request.send(unary_bytes(json.dumps({"choices": [choice]}).encode()))

    async with canary(valkey_url, 0.5, FakeReplica("new", cut)) as router:
        client = await router.client()
        went = Counter([(await ask(client))[1] for _ in range(100)])
        client.close()
        counts = await told_of(valkey_url, 100)
        assert (counts.old.answered, counts.new.answered) == (went["old"], went["new"])
        assert (counts.old.finishes, counts.new.finishes) == ({"stop": went["old"]}, {"length": went["new"]})
        assert (sum(counts.old.whole_s), sum(counts.new.whole_s)) == (went["old"], went["new"])
        judgement = judge(counts, CanaryTerms(share=0.5), 10.0)
        assert judgement.verdict is Verdict.ROLL_BACK
        assert "answers were cut at the length limit" in str(judgement.reason)


async def test_another_canary_is_counted_from_nothing_and_none_is_told_of_nothing(valkey_url: str) -> None:
    async with canary(valkey_url, 0.5, FakeReplica("new", answer_in_words)) as router:
        client, core = await router.client(), router.router.core
        for _ in range(10):
            await ask(client)
        await eventually(lambda: core.canaries()[MODEL].old.answered > 0)
        await router.store.model(canary=Canary(id="swap-2", revision=NEW, share=0.5))
        await eventually(lambda: core.canaries()[MODEL].id == "swap-2")
        assert core.canaries()[MODEL].old.answered == 0
        await router.store.model()
        await eventually(lambda: not core.canaries())
        assert {(await ask(client))[0] for _ in range(10)} == {200}
        client.close()


async def test_canary_whose_replica_is_gone_leaves_its_sessions_to_the_old_ones(valkey_url: str) -> None:
    async with canary(valkey_url, 0.5, FakeReplica("new", answer_in_words)) as router:
        await router.store.withdraw("new")
        await eventually(lambda: router.router.core.table.models[MODEL].ready_replicas == 1)
        client = await router.client()
        assert {await ask(client, f"s{number}") for number in range(30)} == {(200, "old")}
        client.close()
