"""Two models on one GPU take turns by sleeping and waking, on real Ray Serve.

There is no GPU: Ray is told that there is one, and the engine is simulated.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.house import RunningHouse, alive, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]
NAMES = ("odd", "even")
BODY: dict[str, Any] = {
    "engine": "simulated",
    "simulation": {"start_s": 4, "wake_s": 0.3, "max_running": 4, "inter_token_s": 0.01, "weights_bytes": 2**20},
    "scaling": {"min_replicas": 0, "max_replicas": 1, "target_wait_s": 1, "idle_timeout_s": 3600},
    "gpus_per_replica": 1,
    "sleep_mode": True,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    house = RunningHouse.on_free_ports(tmp_path_factory.mktemp("sleep"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')
        house.up("--engine", "simulated")
    processes = house.processes()
    yield house
    processes += [each for each in house.processes() if each not in processes]
    house.down()
    assert not alive(processes), "something is left behind"


def deploy(house: RunningHouse, name: str, **changes: Any) -> httpx.Response:
    return house.http.put(f"{house.url}/api/v1/deployments/{name}", json=BODY | changes, headers=house.headers)


def ask(house: RunningHouse, name: str) -> tuple[int, str, str]:
    """Status, the replica that answered, and how its stream ended."""
    body = {"model": name, "stream": True, "max_tokens": 40, "messages": [{"role": "user", "content": "Hello?"}]}
    with httpx.Client(trust_env=False, timeout=120) as http:
        answer = http.post(f"{house.url}/v1/chat/completions", json=body, headers=house.headers)
    return answer.status_code, answer.headers.get("x-roundhouse-replica", ""), answer.text.rstrip().rpartition("\n")[2]


def states(house: RunningHouse) -> dict[str, str]:
    """Of the replicas of both models, by id."""
    return {each["id"]: each["state"] for each in house.api("/replicas") if each["deployment"] in NAMES}


def free_gpus(house: RunningHouse) -> list[float]:
    return [node["gpus_free"] for node in house.api("/nodes")]


def test_two_models_on_one_gpu_take_turns_without_starting_again(house: RunningHouse) -> None:
    for name in NAMES:
        assert deploy(house, name).status_code == 200
    answers = [ask(house, name) for name in NAMES]
    assert {(status, end) for status, _, end in answers} == {(200, "data: [DONE]")}
    first = {name: replica for name, (_, replica, _) in zip(NAMES, answers, strict=True)}
    for _ in range(2):
        for name in NAMES:
            # The very process that served it before: its first start was its only one.
            assert ask(house, name) == (200, first[name], "data: [DONE]")
            assert set(states(house)) == set(first.values())
            assert sorted(states(house).values()) == ["asleep", "ready"]
    with ThreadPoolExecutor(8) as pool:
        crowd = list(pool.map(lambda number: ask(house, NAMES[number % 2]), range(24)))
    assert {(status, end) for status, _, end in crowd} == {(200, "data: [DONE]")}
    assert {replica for _, replica, _ in crowd} == set(first.values())
    until(lambda: free_gpus(house) == [0], 30, "showing the GPU as taken")


def test_model_that_nobody_asks_sleeps_and_wakes_with_the_next_request(house: RunningHouse) -> None:
    house.command("undeploy", "even")
    assert deploy(house, "odd", scaling=BODY["scaling"] | {"idle_timeout_s": 3}).status_code == 200
    replica = ask(house, "odd")[1]
    until(lambda: states(house).get(replica) == "asleep", 60, "falling asleep")
    until(
        lambda: (house.api("/deployments/odd")["eta_s"] or 99) <= 5, 30, "telling what waking takes, not what a start"
    )
    until(lambda: free_gpus(house) == [1], 30, "showing its GPU as free")
    assert house.models()["odd"]["status"] == "asleep"
    assert ask(house, "odd") == (200, replica, "data: [DONE]")


def test_deployment_whose_settings_change_while_it_sleeps_starts_with_the_new_ones(house: RunningHouse) -> None:
    replica = ask(house, "odd")[1]
    house.succeed("scale", "odd", "0")
    until(lambda: states(house).get(replica) == "asleep", 60, "falling asleep")
    assert deploy(house, "odd", max_model_len=512).status_code == 200
    until(lambda: replica not in states(house), 60, "the end of what sleeps")
    house.succeed("scale", "odd", "1")
    status, other, _ = ask(house, "odd")
    assert (status, other != replica) == (200, True)
    house.succeed("undeploy", "odd")
    assert states(house) == {}
