import pytest

from replicas.lifecycle import CanaryAction, CanaryMemory, Event, Phase, canary_answered, drain_done, look, step


@pytest.mark.parametrize(
    ("phase", "event", "after"),
    [
        (Phase.STARTING, Event.ENGINE_STARTED, Phase.READY),
        (Phase.STARTING, Event.START_FAILED, Phase.GONE),
        (Phase.STARTING, Event.STOP_REQUESTED, Phase.GONE),
        (Phase.READY, Event.STOP_REQUESTED, Phase.DRAINING),
        (Phase.READY, Event.ENGINE_DIED, Phase.GONE),
        (Phase.READY, Event.SLEEP_REQUESTED, Phase.DRAINING),
        (Phase.DRAINING, Event.FELL_ASLEEP, Phase.ASLEEP),
        (Phase.ASLEEP, Event.WAKE_REQUESTED, Phase.WAKING),
        (Phase.WAKING, Event.WOKE, Phase.READY),
        (Phase.WAKING, Event.WAKE_REFUSED, Phase.ASLEEP),
        (Phase.WAKING, Event.STOP_REQUESTED, Phase.GONE),
        (Phase.STARTING, Event.WAKE_REFUSED, Phase.STARTING),
        (Phase.CORDONED, Event.SLEEP_REQUESTED, Phase.CORDONED),
        (Phase.ASLEEP, Event.SWAP_BEGUN, Phase.ASLEEP),
        (Phase.ASLEEP, Event.STOP_REQUESTED, Phase.GONE),
        (Phase.DRAINING, Event.DRAINED, Phase.GONE),
        (Phase.DRAINING, Event.ENGINE_STARTED, Phase.DRAINING),
        (Phase.GONE, Event.STOP_REQUESTED, Phase.GONE),
    ],
)
def test_transitions(phase: Phase, event: Event, after: Phase) -> None:
    assert step(phase, event) is after


def test_a_drain_ends_when_nothing_is_in_flight_or_at_the_deadline() -> None:
    assert drain_done(0, now=1.0, deadline=10.0)
    assert not drain_done(1, now=9.9, deadline=10.0)
    assert drain_done(1, now=10.0, deadline=10.0)


def _look(memory: CanaryMemory, tokens: int, now: float) -> tuple[CanaryAction, CanaryMemory]:
    return look(memory, tokens_total=tokens, now=now, interval_s=30.0, timeout_s=60.0)


def test_no_canary_while_tokens_are_generated_for_others() -> None:
    memory = CanaryMemory(alive_at=0.0)
    for now in (29.0, 60.0, 120.0):
        action, memory = _look(memory, tokens=int(now), now=now)
        assert action is CanaryAction.WAIT


def test_an_idle_engine_is_asked_once_per_interval() -> None:
    memory = CanaryMemory(alive_at=0.0)
    assert _look(memory, 0, 29.0)[0] is CanaryAction.WAIT
    action, memory = _look(memory, 0, 30.0)
    assert action is CanaryAction.GENERATE
    assert _look(memory, 0, 31.0)[0] is CanaryAction.WAIT
    memory = canary_answered(memory, 32.0)
    assert _look(memory, 0, 61.0)[0] is CanaryAction.WAIT
    assert _look(memory, 0, 62.0)[0] is CanaryAction.GENERATE


def test_an_overdue_canary_condemns() -> None:
    _, memory = _look(CanaryMemory(alive_at=0.0), 0, 30.0)
    assert _look(memory, 0, 90.0)[0] is CanaryAction.WAIT
    assert _look(memory, 0, 90.1)[0] is CanaryAction.CONDEMN


def test_a_canary_stuck_behind_a_working_batch_does_not_condemn() -> None:
    _, memory = _look(CanaryMemory(alive_at=0.0), 0, 30.0)
    action, memory = _look(memory, 5, 89.0)
    assert action is CanaryAction.WAIT
    assert _look(memory, 5, 149.0)[0] is CanaryAction.WAIT
    assert _look(memory, 5, 149.1)[0] is CanaryAction.CONDEMN
