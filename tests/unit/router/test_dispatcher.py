"""Sending, waiting and being turned away, with virtual time and carriers that only record."""

from typing import Any

import pytest

from replicas.types import ReplicaState
from router.circuit import Circuit
from router.errors import current_status
from router.job import job_for
from router.prompt_text import answered
from router.request_head import RequestHead
from router.types import ModelStatus, PolicyName, Priority
from tests.unit.router.fakes import START, FakeCarrier, Rig, fleet, replica

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH

OPENING = b'[{"role":"'
"""Of a conversation as OpenAI's client writes it."""


def starting(replica_id: str = "a") -> Rig:
    """A model whose only replica is not up yet."""
    return Rig([replica(replica_id, state=ReplicaState.STARTING)], status=ModelStatus.STARTING)


def order(rig: Rig, *carriers: FakeCarrier) -> list[FakeCarrier]:
    """Of these, those who were sent, in that order."""
    return [each for each in rig.sent if each in carriers]


# What is expected of a request


@pytest.mark.parametrize(
    ("head", "size_bytes", "prompt_tokens", "output_tokens"),
    [
        (RequestHead("m", prompt=b"x" * 400), 1000, 101, 201),
        (RequestHead("m", prompt=b"x" * 400, max_tokens=7), 1000, 101, 7),
        (RequestHead("m"), 1000, 251, 0),
    ],
    ids=["chat", "short answer", "embedding"],
)
def test_job_expects_what_its_text_says(
    head: RequestHead, size_bytes: int, prompt_tokens: int, output_tokens: int
) -> None:
    rig = Rig()
    job = job_for(
        FakeCarrier(rig),
        head,
        entry=rig.entry,
        estimates=rig.dispatcher.estimates,
        tenant="team",
        tenant_weight=2.0,
        priority=HIGH,
        now=START,
        size_bytes=size_bytes,
    )
    assert (job.prompt_tokens, job.output_tokens) == (prompt_tokens, output_tokens)
    assert (job.tenant, job.weight, job.priority, job.since) == ("team", 2.0, HIGH, START)


# Sent at once


def test_request_is_sent_at_once_when_a_replica_has_room() -> None:
    rig = Rig([replica("a")])
    request = rig.submit()
    assert (request.sent, request.inside, request.job.queue_s) == (["a"], "a", 0.0)
    assert rig.meter.choices == {"only_one": 1}


def test_request_is_counted_in_its_replica_until_it_ends() -> None:
    view = replica("a", kv_capacity_tokens=1000)
    rig = Rig([view])
    request = rig.submit(prompt_tokens=100, output_tokens=20)
    assert (view.in_flight, view.pending_tokens, view.kv_tokens) == (1, 100, 120)
    request.first_token()
    assert (view.in_flight, view.pending_tokens, view.kv_tokens) == (1, 0, 120)
    request.ends()
    assert (view.in_flight, view.pending_tokens, view.kv_tokens) == (0, 0, 0)


def test_answer_makes_the_next_turn_of_the_conversation_cached() -> None:
    views = fleet(2)
    rig = Rig(views, policy=PolicyName.PREFIX_AWARE)
    asked, answer = b"question " * 100, "answer " * 300
    first = rig.submit(prompt=asked, prompt_tokens=225, opening=OPENING)
    home = first.inside
    first.ends(500, text=answer)
    again = rig.submit(prompt=asked + answered(OPENING, answer) + b"more", prompt_tokens=750)
    assert again.inside == home
    assert again.job.reservation is not None
    uncached = again.job.reservation.uncached_tokens
    assert uncached == 750 - again.job.cached_tokens < 128, "all but less than a block is cached"


@pytest.mark.parametrize(("said", "counted"), [(16, 16), (0, 0), (None, 672)])
def test_cached_tokens_are_counted_as_the_engine_says_or_else_as_expected(said: int | None, counted: int) -> None:
    rig = Rig(fleet(1), policy=PolicyName.PREFIX_AWARE)
    prompt = b"x" * 3000
    rig.submit(prompt=prompt, prompt_tokens=750).ends(cached_tokens=0)
    rig.submit(prompt=prompt, prompt_tokens=750).ends(cached_tokens=said)
    assert rig.meter.cached_tokens == pytest.approx(counted, abs=128)
    assert bool(rig.meter.cached_tokens) == bool(counted)


def test_request_believed_longer_than_engines_take_does_not_wait_for_an_empty_replica() -> None:
    rig = Rig([replica("a", kv_capacity_tokens=1000, max_model_len=600)])
    running, ending = rig.submit(prompt_tokens=300, output_tokens=10), rig.submit(prompt_tokens=400, output_tokens=10)
    giant, behind = rig.submit(prompt_tokens=5000, output_tokens=10), rig.submit(prompt_tokens=50, output_tokens=10)
    assert not giant.inside
    ending.ends()
    assert (giant.inside, running.inside) == ("a", "a")
    giant.ends()
    assert behind.inside == "a"


def test_estimates_are_learnt_from_answers() -> None:
    rig = Rig([replica("a")])
    for _ in range(100):
        request = rig.submit(prompt=b"x" * 3000, prompt_tokens=750)
        request.first_token()
        rig.clock.advance(4.9)
        request.ends(50, prompt_tokens=1000)
    estimates = rig.dispatcher.estimates
    assert estimates.bytes_per_token == pytest.approx(3.0, rel=0.02)
    assert estimates.output_tokens == pytest.approx(50, rel=0.05)
    assert rig.dispatcher.replicas[0].inter_token_s == pytest.approx(0.1, rel=0.01)


# Waiting and being woken


def test_request_waits_when_nobody_has_room_and_is_woken_by_an_end() -> None:
    rig = Rig([replica("a", limit=1)])
    inside = rig.submit()
    waiting = rig.submit()
    assert (waiting.waits, waiting.sent) == (True, [])
    rig.clock.advance(3.0)
    assert waiting.waits, "time alone wakes nobody"
    inside.ends()
    assert (waiting.sent, waiting.waits) == (["a"], False)
    assert waiting.job.queue_s == 3.0


@pytest.mark.parametrize("end", ["ends", "leaves"])
def test_any_end_wakes_who_waits(end: str) -> None:
    rig = Rig([replica("a", limit=1)])
    inside, waiting = rig.submit(), rig.submit()
    getattr(inside, end)()
    assert waiting.sent == ["a"]


def test_request_is_woken_by_a_replica_that_comes() -> None:
    busy = replica("a", limit=1)
    rig = Rig([busy])
    rig.fill(1)
    waiting = rig.submit()
    rig.show([busy, replica("b")])
    assert waiting.sent == ["b"]


def test_request_is_woken_by_a_higher_limit() -> None:
    busy = replica("a", limit=1)
    rig = Rig([busy])
    rig.fill(1)
    waiting = rig.submit()
    busy.limit = 2
    rig.show([busy])
    assert waiting.sent == ["a"]


def test_as_many_are_woken_as_find_room() -> None:
    view = replica("a", kv_capacity_tokens=100)
    rig = Rig([view])
    large = rig.submit(prompt_tokens=90, output_tokens=10)
    small = [rig.submit(prompt_tokens=20, output_tokens=10) for _ in range(5)]
    large.ends()
    assert [each.waits for each in small] == [False, False, False, True, True]


def test_newcomer_does_not_overtake_who_waits() -> None:
    """There is room for the newcomer, and none for the one before it."""
    rig = Rig([replica("a", kv_capacity_tokens=100)])
    inside = rig.submit(prompt_tokens=50, output_tokens=10)
    large = rig.submit(prompt_tokens=80, output_tokens=10)
    small = rig.submit(prompt_tokens=1, output_tokens=1)
    assert (large.waits, small.waits) == (True, True)
    inside.ends()
    assert order(rig, large, small) == [large, small]


def test_higher_priority_goes_first_in_the_queue() -> None:
    rig = Rig([replica("a", limit=1)])
    rig.fill(1)
    low, normal, high = (rig.submit(priority=priority) for priority in (LOW, NORMAL, HIGH))
    for _ in range(4):
        rig.sent[-1].ends()
    assert order(rig, low, normal, high) == [high, normal, low]


def test_tenants_take_turns_in_the_queue() -> None:
    rig = Rig([replica("a", limit=1)])
    rig.fill(1)
    flood = [rig.submit(tenant="flood") for _ in range(20)]
    other = [rig.submit(tenant="other") for _ in range(3)]
    for _ in range(8):
        rig.sent[-1].ends()
    assert order(rig, *flood, *other)[:6].count(other[2]) == 1


def test_newcomer_of_a_higher_band_does_not_wait_behind_one_that_does_not_fit() -> None:
    rig = Rig([replica("a", kv_capacity_tokens=100)])
    rig.submit(prompt_tokens=50, output_tokens=10)
    large = rig.submit(prompt_tokens=80, output_tokens=10)
    high = rig.submit(prompt_tokens=1, output_tokens=1, priority=HIGH)
    assert large.waits
    assert high.sent == ["a"]


def test_next_one_is_sent_when_the_one_that_did_not_fit_leaves() -> None:
    rig = Rig([replica("a", kv_capacity_tokens=100)])
    rig.submit(prompt_tokens=50, output_tokens=10)
    large, small = rig.submit(prompt_tokens=80), rig.submit(prompt_tokens=1, output_tokens=1)
    large.leaves()
    assert small.sent == ["a"]


def test_newcomer_is_sent_when_it_displaced_the_one_that_did_not_fit() -> None:
    rig = Rig([replica("a", kv_capacity_tokens=100)], queue_requests=1)
    rig.submit(prompt_tokens=50, output_tokens=10)
    large = rig.submit(prompt_tokens=80, priority=LOW)
    small = rig.submit(prompt_tokens=1, output_tokens=1)
    assert large.codes == ["queue_full"]
    assert small.sent == ["a"]


# Leaving


def test_waiting_request_whose_client_left_is_gone_at_once() -> None:
    rig = Rig([replica("a", limit=1)])
    inside, leaving, staying = rig.submit(), rig.submit(), rig.submit()
    leaving.leaves()
    assert (len(rig.dispatcher.queue), leaving.waits) == (1, False)
    inside.ends()
    assert (leaving.sent, staying.sent) == ([], ["a"])


def test_client_that_leaves_says_nothing_of_the_replica() -> None:
    view = replica("a", circuit=Circuit(failures=3, opened=1, open_until=START))
    rig = Rig([view])
    probe = rig.submit()
    assert view.circuit.probing
    probe.leaves()
    assert (view.circuit.probing, view.circuit.opened) == (False, 1)


def test_answered_request_closes_a_circuit() -> None:
    view = replica("a", circuit=Circuit(failures=3, opened=1, open_until=START + 100))
    rig = Rig([view])
    rig.submit().ends()
    assert (view.circuit.opened, view.circuit.failures) == (0, 0)


# Turned away


@pytest.mark.parametrize("status", [ModelStatus.FAILED, ModelStatus.STOPPED])
def test_request_is_refused_at_once_when_nothing_will_become_ready(status: ModelStatus) -> None:
    request = Rig(status=status).submit()
    refusal = request.refusals[0]
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (503, f"model_{status.value}", 30)


@pytest.mark.parametrize("status", [ModelStatus.FAILED, ModelStatus.STOPPED])
def test_request_is_sent_whatever_the_catalog_says_while_a_replica_is_ready(status: ModelStatus) -> None:
    assert Rig([replica("a")], status=status).submit().sent == ["a"]


@pytest.mark.parametrize("status", [ModelStatus.STARTING, ModelStatus.ASLEEP, ModelStatus.SWAPPING, ModelStatus.READY])
def test_request_waits_for_a_first_replica_and_is_sent_to_it(status: ModelStatus) -> None:
    rig = Rig(status=status)
    request = rig.submit()
    rig.sweep(200.0)
    assert request.waits
    rig.show([replica("a")])
    assert request.sent == ["a"]


def test_waiting_requests_are_told_when_the_start_fails() -> None:
    rig = starting()
    request = rig.submit()
    rig.show([], status=ModelStatus.FAILED, detail="no room on any GPU.")
    rig.sweep()
    assert request.codes == ["model_failed"]
    assert "no room on any GPU" in request.refusals[0].message


def test_cold_start_has_a_timeout_of_its_own() -> None:
    rig = starting()
    request = rig.submit()
    rig.sweep(299.0)
    assert request.waits
    rig.sweep(1.0)
    assert (request.refusals[0].status, request.codes) == (503, ["model_starting"])


def test_busy_replicas_are_waited_for_as_long_as_the_queue_allows() -> None:
    rig = Rig([replica("a", limit=1)], queue_timeout_s=20.0)
    rig.fill(1)
    request = rig.submit()
    rig.sweep(19.9)
    assert request.waits
    rig.sweep(0.1)
    refusal = request.refusals[0]
    assert (refusal.status, refusal.code) == (429, "queue_timeout")
    assert "20 s" in refusal.message
    assert rig.meter.sheds == {"timeout": 1}


def test_full_queue_turns_newcomers_away_with_the_time_until_it_has_drained() -> None:
    rig = Rig([replica("a", limit=1)], queue_tokens=5000)
    # A thousand prompt tokens a second are sent.
    for _ in range(80):
        rig.submit(prompt_tokens=250, output_tokens=0).ends()
        rig.sweep(0.25)
    rig.fill(1)
    waits = set()
    for _ in range(5):
        rig.submit(prompt_tokens=1000, output_tokens=0)
    for _ in range(50):
        refusal = rig.submit(prompt_tokens=1000, output_tokens=0).refusals[0]
        assert (refusal.status, refusal.code) == (429, "queue_full")
        waits.add(refusal.retry_after_s)
    # 5000 tokens at 1000 a second, 20 % to either side.
    assert waits == {4, 5, 6}
    assert rig.meter.sheds == {"tokens": 50}


@pytest.mark.parametrize(("caps", "reason"), [({"queue_requests": 1}, "requests"), ({"queue_bytes": 150}, "bytes")])
def test_each_cap_is_counted_by_its_name(caps: dict[str, Any], reason: str) -> None:
    rig = Rig([replica("a", limit=1)], **caps)
    rig.fill(1)
    rig.submit()
    assert rig.submit().codes == ["queue_full"]
    assert rig.meter.sheds == {reason: 1}


def test_displaced_request_is_told_so() -> None:
    rig = Rig([replica("a", limit=1)], queue_requests=1)
    rig.fill(1)
    low, high = rig.submit(priority=LOW), rig.submit(priority=HIGH)
    assert (low.codes, low.refusals[0].retry_after_s) == (["queue_full"], 1)
    assert "others" in low.refusals[0].message
    assert high.waits
    assert rig.meter.sheds == {"displaced": 1}


def test_model_that_leaves_the_catalog_turns_everybody_away() -> None:
    rig = Rig([replica("a", limit=1)])
    inside, waiting = rig.submit(), rig.submit()
    rig.dispatcher.close()
    assert waiting.refusals[0].status == 404
    inside.ends()
    assert rig.submit().refusals[0].status == 404
    assert len(rig.dispatcher.queue) == 0


# What is told of it


def test_load_tells_what_waits_and_what_runs() -> None:
    rig = Rig([replica("a", limit=2)])
    rig.fill(2)
    rig.sweep()
    for _ in range(3):
        rig.submit(prompt_tokens=100)
    rig.sweep(5.0)
    load = rig.dispatcher.load(rig.clock.now())
    assert (load.queued, load.queued_tokens, load.oldest_wait_s, load.in_flight) == (3, 300, 5.0, 2)
    assert (load.arrivals_total, load.prompt_tokens_total) == (5, 320)
    assert (load.arrivals_per_s, load.prompt_tokens_per_s) == (1.0, 64)


@pytest.mark.parametrize("asleep_s", [0.0, 3600.0])
def test_load_tells_of_a_burst_after_a_pause(asleep_s: float) -> None:
    rig = Rig([replica("a")])
    if asleep_s:
        rig.submit().ends()
        for _ in range(200):
            rig.sweep(asleep_s / 200)
    for _ in range(40):
        rig.submit()
    rig.sweep(1.0)
    assert rig.dispatcher.load(rig.clock.now()).arrivals_per_s >= 3.9


def test_status_is_ready_if_and_only_if_a_replica_is() -> None:
    rig = starting()
    assert rig.dispatcher.status() is current_status(rig.entry, ready_replicas=0) is ModelStatus.STARTING
    rig.show([replica("a")])
    assert rig.dispatcher.status() is ModelStatus.READY
