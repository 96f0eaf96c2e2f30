"""From nothing to two replicas and back, on real Ray Serve: every request answered, no stream cut."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.house import RunningHouse, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]
NAME = "napping"
BODY: dict[str, Any] = {
    "engine": "simulated",
    "simulation": {"start_s": 2, "max_running": 4, "inter_token_s": 0.02},
    "scaling": {"min_replicas": 0, "max_replicas": 2, "target_wait_s": 2, "idle_timeout_s": 4},
}


@pytest.fixture
def house(simulated_house: RunningHouse) -> Iterator[RunningHouse]:
    simulated_house.succeed("scale", "simulated", "0")  # the machine may have two CPUs alone
    until(lambda: not simulated_house.api("/replicas"), 60, "the end of the other replica")
    yield simulated_house
    simulated_house.command("undeploy", NAME)
    simulated_house.succeed("scale", "simulated", "1")


def deploy(house: RunningHouse, name: str = NAME, **scaling: Any) -> None:
    body = BODY | {"scaling": BODY["scaling"] | scaling}
    deployed = house.http.put(f"{house.url}/api/v1/deployments/{name}", json=body, headers=house.headers)
    assert deployed.status_code == 200, deployed.text


def replicas(house: RunningHouse, name: str = NAME) -> list[dict[str, Any]]:
    return [each for each in house.api("/replicas") if each["deployment"] == name]


def ask(house: RunningHouse, number: int, tokens: int = 60, model: str = NAME) -> tuple[int, float, str]:
    """Status, seconds in the router's queue and how a streamed answer ended."""
    with httpx.Client(trust_env=False, timeout=120) as http:
        body = {
            "model": model,
            "stream": True,
            "max_tokens": tokens,
            "ignore_eos": True,
            "messages": [{"role": "user", "content": f"Question {number}"}],
        }
        answer = http.post(f"{house.url}/v1/chat/completions", json=body, headers=house.headers)
    queue_s = int(answer.headers.get("x-roundhouse-queue-ms", 0)) / 1000
    return answer.status_code, queue_s, answer.text.rstrip().rpartition("\n")[2]


def test_burst_on_a_sleeping_model_wakes_two_replicas_and_lets_it_sleep_again(house: RunningHouse) -> None:
    deploy(house)
    until(lambda: house.models().get(NAME, {}).get("status") == "asleep", 120, "falling asleep")
    until(lambda: not replicas(house), 60, "the end of its replica")
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(ask, house, number) for number in range(40)]
        until(lambda: sum(each["state"] == "ready" for each in replicas(house)) == 2, 120, "two replicas")
        answers = [each.result() for each in asked]
    assert {(status, end) for status, _, end in answers} == {(200, "data: [DONE]")}
    assert max(queue_s for _, queue_s, _ in answers) > 1, "the first ones waited for the start"
    until(lambda: house.models()[NAME]["status"] == "asleep", 120, "falling asleep again")
    scaling = json.loads(house.succeed("scaling", NAME, "--json"))
    granted = [each["granted"] for each in scaling["records"]]
    assert (max(granted), granted[-1]) == (2, 0)
    assert all(each["reason"] for each in scaling["records"])


def test_scale_by_hand_holds_until_it_is_taken_back(house: RunningHouse) -> None:
    deploy(house)
    house.succeed("scale", NAME, "2", "--for", "1h")
    until(lambda: house.api(f"/deployments/{NAME}")["ready_replicas"] == 2, 120, "two replicas")
    assert "set by hand until" in house.succeed("scaling", NAME)
    assert "the load decides" in house.succeed("scale", NAME, "--auto")
    until(lambda: house.models()[NAME]["status"] == "asleep", 120, "falling asleep")
    assert ask(house, 1)[0] == 200


def test_scale_down_lets_the_streams_of_its_victim_end(house: RunningHouse) -> None:
    deploy(house)
    house.succeed("scale", NAME, "2")
    until(lambda: house.api(f"/deployments/{NAME}")["ready_replicas"] == 2, 120, "two replicas")
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, house, number, 400) for number in range(6)]
        until(lambda: all(each["in_flight"] for each in replicas(house)), 60, "streams in both")
        house.succeed("scale", NAME, "1")
        answers = [each.result() for each in asked]
    assert {(status, end) for status, _, end in answers} == {(200, "data: [DONE]")}
    until(lambda: len(replicas(house)) == 1, 60, "one replica")


def test_two_models_with_room_for_one_take_turns_and_answer_everybody(house: RunningHouse) -> None:
    """On CPUs, where a CPU is what a GPU is elsewhere: all of them but one are taken."""
    others = (os.cpu_count() or 1) - 1
    house.succeed("scale", "simulated", str(others))
    until(lambda: house.api("/deployments/simulated")["ready_replicas"] == others, 120, "the others")
    names = ("odd", "even")
    try:
        for name in names:
            deploy(house, name, max_replicas=1)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, house, number, 40, names[number % 2]) for number in range(24)]
            answers = [each.result() for each in asked]
        assert {(status, end) for status, _, end in answers} == {(200, "data: [DONE]")}
        # Each start costs seconds: everybody's questions of one model are answered in its turn.
        starts = [
            each
            for name in names
            for each in json.loads(house.succeed("scaling", name, "--json"))["records"]
            if each["granted"]
        ]
        assert len(starts) <= 8, "it thrashes"
    finally:
        for name in names:
            house.command("undeploy", name)
