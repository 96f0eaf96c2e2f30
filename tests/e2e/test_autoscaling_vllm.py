"""From nothing to two replicas of a real model and back."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.conftest import SMOLLM2
from tests.e2e.house import RunningHouse, until

pytestmark = [pytest.mark.heavy, pytest.mark.full, pytest.mark.timeout(1500)]


def test_burst_on_a_sleeping_real_model_is_answered_in_full(real_house: RunningHouse) -> None:
    house = real_house
    before = house.api(f"/deployments/{SMOLLM2}")
    scaling = ["--min-replicas", "0", "--max-replicas", "2", "--target-wait", "5", "--idle-timeout", "20s"]
    house.succeed("deploy", SMOLLM2, "--max-model-len", str(before["max_model_len"]), *scaling, timeout_s=600)
    until(lambda: house.models()[SMOLLM2]["status"] == "asleep", 300, "falling asleep")
    until(lambda: not house.api("/replicas"), 120, "the end of its replica")

    def ask(number: int) -> tuple[int, int]:
        """Status and tokens of the answer."""
        body = {
            "model": SMOLLM2,
            "messages": [{"role": "user", "content": f"Write a long story about the number {number}."}],
            "max_tokens": 300,
            "ignore_eos": True,
        }
        with httpx.Client(trust_env=False, timeout=900) as http:
            answer = http.post(f"{house.url}/v1/chat/completions", json=body, headers=house.headers)
        return answer.status_code, answer.json().get("usage", {}).get("completion_tokens", 0)

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    assert set(answers) == {(200, 300)}
    until(lambda: house.models()[SMOLLM2]["status"] == "asleep", 600, "falling asleep again")
    records = json.loads(house.succeed("scaling", SMOLLM2, "--json"))["records"]
    assert max(each["granted"] for each in records) == 2
    assert records[-1]["granted"] == 0
