from replicas.stats import StepReport, add, combine, settle
from replicas.types import EngineLoad


def test_totals_add_up_and_the_state_is_the_latest() -> None:
    load = add(EngineLoad(), StepReport(running=2, waiting=1, kv_usage=0.5, prompt_tokens=10, generation_tokens=2))
    load = add(load, StepReport(running=1, kv_usage=0.25, generation_tokens=1))
    assert load == EngineLoad(running=1, waiting=0, kv_usage=0.25, prompt_tokens_total=10, generation_tokens_total=3)


def test_a_report_without_state_keeps_the_state() -> None:
    load = add(EngineLoad(running=3, waiting=2, kv_usage=0.5), StepReport(generation_tokens=4))
    assert (load.running, load.waiting, load.kv_usage, load.generation_tokens_total) == (3, 2, 0.5, 4)


def test_several_engine_cores_count_as_one() -> None:
    both = combine([EngineLoad(running=1, kv_usage=0.2), EngineLoad(running=2, waiting=4, kv_usage=0.6)])
    assert (both.running, both.waiting, both.kv_usage) == (3, 4, 0.4)
    assert combine([]) == EngineLoad()


def test_an_idle_engine_shows_no_load_even_if_it_never_reported_so() -> None:
    stale = EngineLoad(running=5, waiting=3, kv_usage=0.7, generation_tokens_total=9)
    assert settle(stale, 0) == EngineLoad(generation_tokens_total=9)


def test_requests_submitted_since_the_last_step_wait() -> None:
    load = settle(EngineLoad(running=2, kv_usage=0.1), 5)
    assert (load.running, load.waiting, load.kv_usage) == (2, 3, 0.1)
