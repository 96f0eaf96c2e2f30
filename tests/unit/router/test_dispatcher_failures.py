"""Requests whose replica failed are sent again, within a budget."""

from time import process_time

import pytest

from replicas.types import ReplicaState
from router.quarantine import TRIAL_S
from router.types import ModelStatus, Priority
from tests.unit.router.fakes import RETRY_FOR_S, START, FakeCarrier, Rig, VirtualClock, fleet, kill, replica


def test_request_goes_to_another_replica_when_its_own_fails() -> None:
    rig = Rig(fleet(3))
    request = rig.submit()
    request.fails()
    request.fails()
    assert (sorted(request.sent), request.refusals) == (["r0", "r1", "r2"], [])
    assert rig.meter.retries == {"reset": 2}


def test_place_in_the_replica_that_failed_is_given_back() -> None:
    views = fleet(2)
    rig = Rig(views)
    rig.submit().fails()
    assert sorted(view.in_flight for view in views) == [0, 1]


def test_request_that_is_not_to_be_sent_again_is_not() -> None:
    rig = Rig(fleet(2))
    request = rig.submit()
    rig.dispatcher.failed(request.job, "reset", died=True, again=False)
    assert (len(request.sent), request.refusals, len(rig.dispatcher.queue)) == (1, [], 0)


@pytest.mark.parametrize(
    ("reason", "failures"), [("refused", 1), ("connect_timeout", 1), ("reset", 3), ("unavailable", 3)]
)
def test_replica_is_left_alone_after_failures(reason: str, failures: int) -> None:
    bad, good = replica("bad"), replica("good", in_flight=100)
    rig = Rig([bad, good])
    for number in range(failures):
        assert bad.takes, number
        rig.submit().fails(reason)
    assert not bad.takes
    assert rig.submit().sent == ["good"]
    rig.sweep(1.0)
    assert rig.submit().sent == ["bad"], "the probe"
    assert rig.submit().sent == ["good"]


def test_request_that_was_everywhere_waits_a_while_and_tries_again_with_growing_pauses() -> None:
    rig = Rig([replica("a")])
    for _ in range(100):
        rig.submit().ends()  # so that the budget is no matter
    request = rig.submit()
    pauses = []
    for _ in range(6):
        failed_at = rig.clock.now()
        request.fails("refused")
        assert request.waits
        before = len(request.sent)
        while len(request.sent) == before:
            rig.clock.advance(0.01)
        pauses.append(rig.clock.now() - failed_at)
    assert pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 4], abs=0.02)


def test_request_that_was_everywhere_tries_again_when_its_timer_runs_a_little_early() -> None:
    """uvloop counts whole milliseconds from the beginning of its turn: timers come up to 1 ms early."""
    rig = Rig([replica("a")], clock=VirtualClock(early_s=0.001))
    request = rig.submit()
    request.fails("unavailable")
    rig.clock.advance(0.26)
    assert request.sent == ["a", "a"]


def test_request_is_given_up_when_it_failed_for_as_long_as_it_may() -> None:
    rig = Rig([replica("a")])
    request = rig.submit()
    while not request.over:
        assert rig.clock.now() < START + RETRY_FOR_S + 5
        if request.inside:
            request.fails("unavailable")
        rig.clock.advance(0.05)
    assert rig.clock.now() >= START + RETRY_FOR_S
    assert (request.refusals[0].status, request.codes) == (503, ["no_replica_reachable"])


def test_request_waits_for_a_cold_start_when_the_last_replica_is_gone() -> None:
    rig = Rig([replica("a")])
    request = rig.submit()
    rig.show([])
    request.fails()
    rig.sweep(200.0)
    assert request.waits
    rig.show([replica("b")])
    assert request.sent == ["a", "b"]


def test_request_is_refused_when_the_model_is_stopped_meanwhile() -> None:
    rig = Rig([replica("a")])
    request = rig.submit()
    rig.show([], status=ModelStatus.STOPPED)
    request.fails()
    assert request.codes == ["model_stopped"]


def test_request_sent_again_goes_before_everybody_else() -> None:
    views = fleet(2, limit=1)
    rig = Rig(views)
    failing, other = rig.submit(priority=Priority.LOW), rig.submit()
    views[0].limit = views[1].limit = 0
    rig.show(views)
    high = rig.submit(priority=Priority.HIGH)
    failing.fails()
    assert (failing.waits, high.waits) == (True, True)
    views[1].limit = views[0].limit = 1
    failed_in = failing.sent[0]
    views[[view.replica_id for view in views].index(failed_in)].state = ReplicaState.DRAINING
    rig.show(views)
    other.ends()
    assert (len(failing.sent), high.sent) == (2, [])


def test_client_that_leaves_between_attempts_is_gone_at_once() -> None:
    rig = Rig([replica("a")])
    request = rig.submit()
    request.fails()
    request.leaves()
    rig.sweep(60.0)
    assert (request.sent, len(rig.dispatcher.queue)) == (["a"], 0)


def test_tenant_pays_once_for_a_request_that_was_sent_often() -> None:
    rig = Rig(fleet(4))
    request = rig.submit(prompt_tokens=100, output_tokens=0)
    for _ in range(3):
        request.fails()
    assert rig.dispatcher.queue.served(Priority.NORMAL, "t") == 100


# How many are sent again


def fails_once(requests: list[FakeCarrier], reason: str = "unavailable") -> list[int]:
    """How often each has been sent after all who are inside have failed."""
    for each in requests:
        if each.inside:
            each.fails(reason)
    return [len(each.sent) for each in requests]


def test_first_failure_is_free_and_every_other_one_costs_budget() -> None:
    rig = Rig(fleet(20))
    requests = [rig.submit() for _ in range(5)]
    assert fails_once(requests) == [2, 2, 2, 2, 2]
    assert fails_once(requests) == [3, 3, 3, 2, 2]
    rig.sweep(9.0)
    assert [each.waits for each in requests] == [False, False, False, True, True]
    rig.sweep(1.25)
    assert [len(each.sent) for each in requests] == [3, 3, 3, 3, 3]


def test_attempt_that_troubled_no_engine_costs_nothing() -> None:
    rig = Rig(fleet(20))
    requests = [rig.submit() for _ in range(5)]
    for attempt in range(2, 8):
        assert fails_once(requests, "refused") == [attempt] * 5


def test_attempt_whose_engine_died_costs_nothing() -> None:
    """Machines fall over one after the other: whoever was inside goes on as long as there is another one."""
    views = fleet(20)
    rig = Rig(list(views))
    requests = [rig.submit(digest=number + 1) for number in range(40)]
    for _ in range(6):
        kill(rig, views, views[0].replica_id, requests)
        rig.sweep(1.0)
    rig.sweep(TRIAL_S)
    assert all(each.inside for each in requests)


def test_budget_bounds_what_is_sent_again_when_everything_fails() -> None:
    """A hundred requests, each of which fails at once wherever it is sent, for five seconds."""
    rig = Rig(fleet(10))
    requests = [rig.submit() for _ in range(100)]
    for _ in range(100):
        fails_once(requests)
        rig.sweep(0.05)
    assert sum(len(each.sent) for each in requests) <= 100 + 100 + 0.2 * 100


def test_many_who_wait_for_the_budget_take_time_in_proportion_to_their_number() -> None:
    rig = Rig(fleet(4, limit=1000))
    requests = [rig.submit() for _ in range(1000)]
    for _ in range(2):
        fails_once(requests)
    began = process_time()
    rig.clock.advance(1.0)
    assert process_time() - began < 0.15


def test_stream_that_went_on_for_long_is_sent_again_like_any_other() -> None:
    rig = Rig([replica("a"), replica("b"), replica("c")])
    stream = rig.submit()
    stream.fails()
    stream.first_token()
    rig.clock.advance(600.0)
    for view in rig.dispatcher.replicas:
        view.limit = 0
    rig.show(rig.dispatcher.replicas)
    stream.fails()
    assert stream.waits


@pytest.mark.parametrize("last", ["ready", "starting"])
def test_another_is_left_for_a_request_while_a_ready_one_has_not_had_it(last: str) -> None:
    rig = Rig([replica("a"), replica("b", state=ReplicaState(last))])
    request = rig.submit()
    assert rig.dispatcher.has_another_for(request.job) is (last == "ready")
    if last == "ready":
        request.fails()
        assert not rig.dispatcher.has_another_for(request.job)
