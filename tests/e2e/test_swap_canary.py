"""Canaries and aliases on real Ray Serve, with the simulated engine: requests all the time, none fails."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.house import RunningHouse, until
from tests.e2e.test_swap_strategies import NAME, Asking, push

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]


def last_swap(house: RunningHouse) -> dict[str, object]:
    return dict(json.loads(house.succeed("swaps", NAME, "--json"))[-1])


def asked_by_sessions(house: RunningHouse, model: str) -> dict[int, str]:
    """Revision of the answer, by session."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 4}
    seen = {}
    for number in range(80):
        headers = house.headers | {"x-roundhouse-session": f"s{number}"}
        answer = house.http.post(f"{house.url}/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == NAME
        seen[number] = answer.headers["x-roundhouse-revision"]
    return seen


def test_canaries_by_surge_and_in_place_are_promoted_or_go_back_and_fail_no_request(
    simulated_house: RunningHouse, tmp_path: Path
) -> None:
    house = simulated_house
    house.succeed("scale", "simulated", "0")  # the machine may have two CPUs alone
    old = push(house, tmp_path / "a", b"\x11\x11")
    deployed = house.http.put(
        f"{house.url}/api/v1/deployments/{NAME}", json={"engine": "simulated", "model": NAME}, headers=house.headers
    )
    assert deployed.status_code == 200, deployed.text
    until(lambda: house.api(f"/deployments/{NAME}")["ready_replicas"], 120, "the replica's start")
    new = push(house, tmp_path / "b", b"\x12\x12")
    house.succeed("alias", "set", "gpt", f"{NAME}=1")
    with Asking(house) as asking:
        # One replica: the canary is another one beside it, and is promoted.
        told = house.succeed("swap", NAME, new, "--canary", "50%", "--canary-for", "5s", "--canary-requests", "20",
                             timeout_s=200)  # fmt: skip
        assert "surge: there is one replica alone" in " ".join(told.split())
        assert (last_swap(house)["step"], set(asked_by_sessions(house, "gpt").values())) == ("done", {new})
        # Two replicas: one of them is the canary, and goes back.
        house.succeed("scale", NAME, "2")
        until(lambda: house.api(f"/deployments/{NAME}")["ready_replicas"] == 2, 120, "the second replica's start")
        house.succeed("swap", NAME, old, "--canary", "25%", "--canary-for", "1h", "--no-wait")
        until(lambda: last_swap(house)["step"] == "canary", 60, "the canary")
        until(lambda: len(set(asked_by_sessions(house, "gpt").values())) == 2, 20, "the canary's share")
        seen = asked_by_sessions(house, "gpt")
        assert asked_by_sessions(house, NAME) == seen, "each session stays where it is"
        assert 8 <= Counter(seen.values())[old] <= 34, "within four standard deviations of 20"
        told = house.succeed("rollback", NAME)
        assert f"goes back to {new}" in " ".join(told.split())
        assert not last_swap(house)["active"]
    assert {status for status, _ in asking.seen} == {200}
    swap = last_swap(house)
    assert (swap["step"], swap["strategy"], swap["reason"]) == ("failed", "in-place", "It was rolled back.")
    until(
        lambda: {each["revision"] for each in house.api("/replicas") if each["state"] == "ready"} == {new},
        60,
        "the old weights everywhere",
    )
    assert set(asked_by_sessions(house, NAME).values()) == {new}
    refused = house.command("undeploy", NAME)
    assert refused.returncode != 0
    house.succeed("alias", "rm", "gpt")
    house.succeed("undeploy", NAME)
    house.succeed("scale", "simulated", "1")
