from orchestrator.load import total_load
from router.types import ModelLoad, RouterReport


def report(router_id: str, **models: ModelLoad) -> RouterReport:
    return RouterReport(router_id=router_id, at=1.0, models=models)


def test_total_load_of_no_router_is_nothing() -> None:
    assert total_load([]) == {}


def test_total_load_adds_routers_up_and_keeps_the_longest_wait() -> None:
    first = ModelLoad(queued=2, queued_tokens=10, oldest_wait_s=1.5, in_flight=3, arrivals_per_s=0.5, sheds_total=1)
    second = ModelLoad(queued=1, queued_tokens=5, oldest_wait_s=4.0, in_flight=4, arrivals_per_s=1.5, sheds_total=2)
    total = total_load([report("a", chat=first), report("b", chat=second, code=second), report("c")])
    assert total == {
        "chat": ModelLoad(
            queued=3, queued_tokens=15, oldest_wait_s=4.0, in_flight=7, arrivals_per_s=2.0, sheds_total=3
        ),
        "code": second,
    }
