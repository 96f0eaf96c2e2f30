"""Requests that kill engines, and those who only stood beside them."""

import pytest

from router.quarantine import TRIAL_S, Quarantine

POISON, NEIGHBOUR, STRANGER = 11, 22, 33
LATELY_S = 30.0
KEPT_S = 900.0


def guilty(quarantine: Quarantine, digest: int, now: float) -> bool:
    """Whether it is refused once a trial that began by `now` is over."""
    quarantine.convicted(digest, now + TRIAL_S)
    return quarantine.holds(digest, now + TRIAL_S)


def test_lone_poison_is_guilty_after_exactly_two_engines() -> None:
    quarantine = Quarantine()
    assert not quarantine.died("a", POISON, 0.0, alone=False)
    assert not quarantine.holds(POISON, 0.0)
    assert quarantine.died("b", POISON, 5.0, alone=True)
    assert not quarantine.holds(POISON, 5.0)
    assert quarantine.trial_s(POISON, 6.0) == TRIAL_S - 1
    assert not quarantine.convicted(POISON, 5.0 + TRIAL_S - 0.1)
    assert quarantine.convicted(POISON, 5.0 + TRIAL_S)
    assert not quarantine.convicted(POISON, 5.0 + TRIAL_S), "once"
    assert quarantine.holds(POISON, 5.0 + TRIAL_S)


@pytest.mark.parametrize("others", [0, 1])
def test_accused_is_acquitted_when_something_dies_without_it_during_its_trial(others: int) -> None:
    quarantine = Quarantine()
    quarantine.died("a", POISON, 0.0, alone=False)
    quarantine.died("b", POISON, 1.0, alone=True)
    for other in range(others):
        quarantine.died(f"c{other}", STRANGER, 2.0, alone=False)
    assert guilty(quarantine, POISON, 1.0) is (others == 0)


def test_accused_is_acquitted_when_one_of_the_dead_answers() -> None:
    quarantine = Quarantine()
    quarantine.died("a", POISON, 0.0, alone=False)
    quarantine.died("b", POISON, 1.0, alone=True)
    quarantine.lives("a")
    assert not guilty(quarantine, POISON, 1.0)


def test_one_engine_is_counted_once_however_often_it_is_reported() -> None:
    quarantine = Quarantine()
    for _ in range(10):
        quarantine.died("a", POISON, 0.0, alone=True)
    assert not quarantine.holds(POISON, 0.0)


def test_neighbours_of_a_poison_are_not_guilty() -> None:
    """All die in `a`; then each is sent on to a replica without another suspect, where others run."""
    quarantine = Quarantine()
    for digest in (POISON, NEIGHBOUR, STRANGER):
        quarantine.died("a", digest, 0.0, alone=False)
    quarantine.died("b", POISON, 2.0, alone=True)
    # Suspect no more, the neighbour was sent to `b` as well; its suspicion was over, so it was not "the suspect".
    quarantine.died("b", NEIGHBOUR, 2.0, alone=False)
    assert guilty(quarantine, POISON, 2.0)
    assert not guilty(quarantine, NEIGHBOUR, 2.0)
    assert not guilty(quarantine, STRANGER, 2.0)


def test_neighbour_is_not_guilty_when_its_next_replica_dies_by_itself_after_another_did() -> None:
    quarantine = Quarantine()
    for digest in (POISON, NEIGHBOUR):
        quarantine.died("a", digest, 0.0, alone=False)
    quarantine.died("b", POISON, 2.0, alone=True)
    assert not quarantine.died("c", NEIGHBOUR, 3.0, alone=True), "something died without it, too"


def test_innocents_are_not_guilty_in_a_storm_of_unrelated_deaths() -> None:
    """Twenty replicas die one a second, and each time a few requests were inside, alone as a suspect or not."""
    quarantine = Quarantine()
    quarantine.died("z", STRANGER, 0.0, alone=False)
    for second in range(20):
        quarantine.died(f"r{second}", NEIGHBOUR + second, float(second), alone=False)
        # Sent on, its next replica died as well.
        quarantine.died(f"s{second}", NEIGHBOUR + second, second + 0.5, alone=True)
        assert not guilty(quarantine, NEIGHBOUR + second, second + 0.5)
    assert len(quarantine) == 0


def test_deaths_of_others_long_ago_do_not_protect() -> None:
    quarantine = Quarantine()
    quarantine.died("z", STRANGER, 0.0, alone=False)
    quarantine.died("a", POISON, LATELY_S + 1, alone=False)
    assert quarantine.died("b", POISON, LATELY_S + 2, alone=True)


@pytest.mark.parametrize(("others", "found"), [(0, True), (1, True), (2, False)])
def test_five_engines_are_guilt_in_any_company_if_they_are_half_of_all(others: int, found: bool) -> None:
    quarantine = Quarantine()
    for each in range(5):
        assert not guilty(quarantine, POISON, float(each))
        for other in range(others):
            quarantine.died(f"z{each}{other}", STRANGER + 10 * each + other, float(each), alone=False)
        quarantine.died(f"r{each}", POISON, float(each), alone=False)
    assert guilty(quarantine, POISON, 5.0) is found


def test_replica_that_answers_was_not_killed() -> None:
    """Its connections broke, and it lives."""
    quarantine = Quarantine()
    quarantine.died("a", POISON, 0.0, alone=False)
    quarantine.lives("a")
    assert not quarantine.died("b", POISON, 1.0, alone=True)
    quarantine.died("c", NEIGHBOUR, 2.0, alone=False)
    quarantine.lives("c")
    assert quarantine.died("d", POISON, 3.0, alone=True), "nor does it protect others"


def test_quarantine_ends_a_quarter_of_an_hour_after_the_last_death() -> None:
    quarantine = Quarantine()
    quarantine.died("a", POISON, 0.0, alone=False)
    quarantine.died("b", POISON, 1.0, alone=True)
    assert guilty(quarantine, POISON, 1.0)
    assert quarantine.holds(POISON, 1.0 + KEPT_S - 0.1)
    assert not quarantine.holds(POISON, 1.0 + KEPT_S)


def test_memory_is_bounded_when_many_requests_die() -> None:
    quarantine = Quarantine()
    for digest in range(1, 5000):
        quarantine.died("a", digest, 0.0, alone=False)
    assert len(quarantine.records) <= 1024


def test_deaths_are_forgotten_when_they_are_old() -> None:
    quarantine = Quarantine()
    for step in range(5000):
        quarantine.died(f"r{step}", step + 1, float(step), alone=False)
    assert len(quarantine._deaths) <= LATELY_S + 1


def test_unknown_requests_are_held_by_nobody() -> None:
    quarantine = Quarantine()
    assert not quarantine.holds(POISON, 0.0)
    quarantine.died("a", NEIGHBOUR, 0.0, alone=False)
    assert not quarantine.holds(POISON, 0.0)


def test_served_sentence_does_not_count_against_a_request_again() -> None:
    """A body that is sent all day (a health check's) stands beside many deaths, years apart."""
    quarantine = Quarantine()
    for each in range(10):
        now = each * 10 * KEPT_S
        quarantine.died(f"r{each}", POISON, now, alone=False)
        assert not quarantine.holds(POISON, now)
