"""Requests whose replica died: kept apart from each other, refused when they are the cause."""

from random import Random
from time import process_time

import pytest

from router.quarantine import TRIAL_S
from router.replica_view import ReplicaView
from tests.unit.router.fakes import FakeCarrier, Rig, fleet, kill, replica

POISON = 666


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
