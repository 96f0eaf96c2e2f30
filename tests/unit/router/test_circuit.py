"""Leaving a replica alone after failures."""

from router.circuit import FAILURES_TO_OPEN, Circuit, abandoned, admits, failed, request_sent, succeeded

BASE_S = 1.0


def fail(circuit: Circuit, now: float, *, unreachable: bool = False) -> bool:
    return failed(circuit, now, base_s=BASE_S, unreachable=unreachable)


def opened_at(now: float) -> Circuit:
    circuit = Circuit()
    assert fail(circuit, now, unreachable=True)
    return circuit


def probed(circuit: Circuit, now: float) -> Circuit:
    assert admits(circuit, now)
    request_sent(circuit)
    return circuit


def test_circuit_opens_after_failures_in_a_row() -> None:
    circuit = Circuit()
    assert [fail(circuit, 0.0) for _ in range(FAILURES_TO_OPEN)] == [False] * (FAILURES_TO_OPEN - 1) + [True]
    assert not admits(circuit, 0.5)


def test_circuit_stays_closed_when_an_answer_lies_between_failures() -> None:
    circuit = Circuit()
    for now in range(10):
        assert not fail(circuit, now)
        assert not fail(circuit, now)
        succeeded(circuit)
    assert admits(circuit, 10.0)


def test_circuit_opens_at_once_for_a_replica_that_cannot_be_connected_to() -> None:
    assert not admits(opened_at(0.0), 0.5)


def test_circuit_is_half_open_when_its_time_is_over() -> None:
    circuit = opened_at(10.0)
    assert not admits(circuit, 10.0 + BASE_S - 1e-6)
    assert admits(circuit, 10.0 + BASE_S)


def test_half_open_circuit_admits_one_request() -> None:
    circuit = probed(opened_at(0.0), BASE_S)
    assert not admits(circuit, BASE_S)
    assert not admits(circuit, BASE_S + 1000)


def test_half_open_circuit_closes_when_its_probe_is_answered() -> None:
    circuit = probed(opened_at(0.0), BASE_S)
    succeeded(circuit)
    assert admits(circuit, BASE_S)
    request_sent(circuit)
    assert admits(circuit, BASE_S)
    assert not fail(circuit, BASE_S), "it counts from the beginning again"


def test_half_open_circuit_opens_for_twice_as_long_each_time_its_probe_fails() -> None:
    circuit, now, spans = opened_at(0.0), 0.0, []
    for _ in range(8):
        spans.append(circuit.open_until - now)
        now = circuit.open_until
        assert fail(probed(circuit, now), now)
    assert spans == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_span_is_as_short_as_at_first_after_an_answer() -> None:
    circuit = opened_at(0.0)
    fail(probed(circuit, 1.0), 1.0)
    succeeded(circuit)
    fail(circuit, 10.0, unreachable=True)
    assert circuit.open_until == 10.0 + BASE_S


def test_abandoned_probe_makes_the_next_request_the_probe() -> None:
    circuit = probed(opened_at(0.0), BASE_S)
    abandoned(circuit)
    probed(circuit, BASE_S)
    assert fail(circuit, BASE_S)
    assert circuit.open_until == BASE_S + 2 * BASE_S


def test_abandoned_request_says_nothing_of_a_closed_circuit() -> None:
    circuit = Circuit()
    fail(circuit, 0.0)
    fail(circuit, 0.0)
    abandoned(circuit)
    assert fail(circuit, 0.0), "the third failure in a row"


def test_open_circuit_is_not_prolonged_by_those_who_were_inside() -> None:
    circuit = opened_at(0.0)
    assert [fail(circuit, 0.1) for _ in range(20)] == [False] * 20
    assert admits(circuit, BASE_S)


def test_circuit_of_the_last_replica_bears_any_number_of_failures() -> None:
    """The last replica is tried however often it failed: each time a probe that fails."""
    circuit = Circuit()
    for now in range(2000):
        request_sent(circuit)
        fail(circuit, float(now), unreachable=True)
    assert circuit.open_until == 1999 + 30.0
