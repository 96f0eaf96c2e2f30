"""Requests whose replica failed: sent again, kept apart from each other, refused when they are the cause."""

from collections.abc import Sequence
from random import Random
from time import process_time

import pytest

from replicas.types import ReplicaState
from router.quarantine import TRIAL_S
from router.replica_view import ReplicaView
from router.types import ModelStatus, Priority
from tests.unit.router.fakes import RETRY_FOR_S, START, FakeCarrier, Rig, VirtualClock, fleet, replica

POISON = 666


def kill(rig: Rig, replicas: list[ReplicaView], replica_id: str, everyone: Sequence[FakeCarrier]) -> None:
    """The engine of this replica dies with all who are inside; a moment later its lease is gone."""
    for each in [each for each in everyone if each.inside == replica_id]:
        each.dies()
    replicas[:] = [view for view in replicas if view.replica_id != replica_id]
    rig.show(replicas)


# Sent again


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


# Suspects


def suspects(replicas: list[ReplicaView], count: int) -> tuple[Rig, list[FakeCarrier]]:
    """So many requests that were in a replica that died."""
    dying = replica("dying")
    rig = Rig([dying])
    requests = [rig.submit(digest=number + 1) for number in range(count)]
    rig.show([dying, *replicas])
    kill(rig, [dying, *replicas], "dying", requests)
    return rig, requests


def test_suspects_are_sent_to_a_replica_each() -> None:
    views = fleet(2)
    _, requests = suspects(views, 3)
    assert [view.suspects for view in views] == [1, 1]
    assert [each.waits for each in requests] == [False, False, True]


def test_suspects_are_sent_among_others_who_are_none() -> None:
    views = fleet(1, in_flight=5)
    _, requests = suspects(views, 1)
    assert requests[0].inside == "r0"


def test_suspect_is_sent_when_the_one_before_it_has_its_first_token() -> None:
    _, requests = suspects(fleet(1), 2)
    assert requests[1].waits
    requests[0].first_token()
    assert requests[1].inside == "r0"


def test_suspect_is_sent_when_the_one_before_it_has_survived_a_second() -> None:
    rig, requests = suspects(fleet(1), 2)
    rig.clock.advance(0.99)
    assert requests[1].waits
    rig.clock.advance(0.01)
    assert requests[1].inside == "r0"


def test_suspect_goes_into_bad_company_rather_than_wait_for_long() -> None:
    views = fleet(1)
    rig, requests = suspects(views, 8)
    for _ in range(9):
        rig.sweep(0.25)
    assert all(each.inside == "r0" for each in requests)


def test_death_of_many_takes_time_in_proportion_to_their_number() -> None:
    """The event loop stands still meanwhile. 512 take some 20 ms if each is looked at a few times."""
    dying, living = fleet(2), [replica(f"living{number}") for number in range(2)]
    rig = Rig(dying)
    requests = [rig.submit(digest=number + 1) for number in range(512)]
    rig.show([*dying, *living])
    began = process_time()
    for each in requests:
        each.dies()
    assert process_time() - began < 0.15


def test_others_do_not_wait_for_suspects() -> None:
    rig, requests = suspects(fleet(1), 2)
    assert requests[1].waits
    assert rig.submit().sent == ["r0"]


def test_request_that_was_answered_is_no_suspect_when_it_comes_again() -> None:
    """Else a body that everybody sends (a health check's) waits for a replica of its own from its first death on."""
    rig, requests = suspects(fleet(1), 1)
    requests[0].ends()
    again = [rig.submit(digest=1) for _ in range(3)]
    assert [each.inside for each in again] == ["r0"] * 3


# Poison


def poisoned(rig: Rig, replicas: list[ReplicaView], everyone: list[FakeCarrier], poison: FakeCarrier) -> int:
    """Engines that die of `poison`, each a tenth of a second after it came, until it is refused."""
    deaths = 0
    for _ in range(400):
        rig.sweep(0.1)
        if poison.inside:
            kill(rig, replicas, poison.inside, everyone)
            deaths += 1
        if poison.over:
            break
    return deaths


@pytest.mark.parametrize("neighbours", [0, 1, 12])
def test_poison_kills_two_engines_and_its_neighbours_live(neighbours: int) -> None:
    views = fleet(6)
    rig = Rig(list(views))
    everyone = [rig.submit(digest=number + 1) for number in range(neighbours)]
    poison = rig.submit(digest=POISON)
    assert poisoned(rig, views, [*everyone, poison], poison) == 2
    assert (poison.refusals[0].status, poison.codes) == (422, ["request_quarantined"])
    rig.sweep(3.0)
    assert all(each.inside and not each.over for each in everyone)
    assert [digest for digest in range(1, neighbours + 1) if rig.quarantine.holds(digest, rig.clock.now())] == []
    assert rig.meter.quarantined == 1


@pytest.mark.parametrize("away_s", [0.5, 5.0, 60.0])
def test_poison_kills_two_engines_when_there_is_one_at_a_time(away_s: float) -> None:
    """The only replica dies of it within a second, and another one comes after a while."""
    rig = Rig([replica("a")])
    poison = rig.submit(digest=POISON)
    deaths = 0
    for _ in range(20):
        rig.sweep(0.5)
        if poison.inside:
            kill(rig, list(rig.dispatcher.replicas), poison.inside, [poison])
            deaths += 1
        rig.sweep(away_s)
        if poison.over:
            break
        rig.show([replica(f"a{deaths}", now=rig.clock.now())])
    assert (deaths, poison.codes) == (2, ["request_quarantined"])


def test_poison_kills_two_engines_when_its_client_sends_it_again() -> None:
    views = fleet(6)
    rig = Rig(list(views))
    deaths = 0
    for _ in range(5):
        poison = rig.submit(digest=POISON)
        if poison.over:
            break
        kill(rig, views, str(poison.inside), [poison])
        deaths += 1
        poison.leaves()
        rig.sweep(5.0)
    assert (deaths, poison.codes) == (2, ["request_quarantined"])


def test_accused_request_waits_for_its_verdict_out_of_every_replica() -> None:
    views = fleet(6)
    rig = Rig(list(views))
    accused = rig.submit(digest=POISON)
    for _ in range(2):
        kill(rig, views, str(accused.inside), [accused])
    again = rig.submit(digest=POISON)
    assert (accused.waits, accused.inside, again.waits, again.inside) == (True, None, True, None)
    rig.sweep(TRIAL_S - 0.1)
    assert (accused.over, again.over) == (False, False)
    rig.sweep(0.2)
    assert accused.codes == again.codes == ["request_quarantined"]


def test_accused_request_is_sent_on_when_something_dies_without_it() -> None:
    """A storm: two machines fell over with it inside, by chance, and a third one does as it waits for its verdict."""
    views = fleet(6)
    rig = Rig(list(views))
    unlucky = rig.submit(digest=POISON)
    for _ in range(2):
        kill(rig, views, str(unlucky.inside), [unlucky])
    stranger = rig.submit(digest=1)
    kill(rig, views, str(stranger.inside), [stranger])
    rig.sweep(TRIAL_S + 0.1)
    assert unlucky.inside
    assert len(rig.quarantine) == 0


@pytest.mark.parametrize("seed", range(5))
def test_innocents_live_through_a_storm_of_unrelated_deaths(seed: int) -> None:
    rng = Random(seed)
    views = fleet(24)
    rig = Rig(list(views), seed=seed)
    everyone = [rig.submit(digest=number + 1) for number in range(60)]
    for _ in range(8):
        rig.sweep(0.4)
        for each in everyone:
            if each.inside and rng.random() < 0.5:
                each.first_token()
        kill(rig, views, rng.choice(views).replica_id, everyone)
    rig.sweep(3.0)
    assert all(each.inside and not each.over for each in everyone)
    assert len(rig.quarantine) == 0


def test_continued_stream_of_a_guilty_request_is_refused_like_any_other() -> None:
    rig = Rig(fleet(8))
    stream = rig.submit(digest=POISON)
    for _ in range(5):
        stream.first_token()
        rig.sweep(40.0)
        stream.dies()
    rig.sweep(TRIAL_S + 0.1)
    assert stream.codes == ["request_quarantined"]


@pytest.mark.parametrize("last", ["ready", "starting"])
def test_another_is_left_for_a_request_while_a_ready_one_has_not_had_it(last: str) -> None:
    rig = Rig([replica("a"), replica("b", state=ReplicaState(last))])
    request = rig.submit()
    assert rig.dispatcher.has_another_for(request.job) is (last == "ready")
    if last == "ready":
        request.fails()
        assert not rig.dispatcher.has_another_for(request.job)
