"""Each way to swap on real Ray Serve, with the simulated engine: requests all the time, none fails."""

import json
import threading
from pathlib import Path

import httpx
import pytest

from tests.e2e.house import RunningHouse, until
from tests.honest_models import header_of, llama_shapes, write_model, write_weights

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]
NAME = "swapped"


def push(house: RunningHouse, folder: Path, numbers: bytes) -> str:
    """A revision whose tensors hold `numbers` throughout; its digest."""
    write_model(folder)
    header = header_of(llama_shapes())
    size = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    write_weights(folder / "model.safetensors", header, numbers * (size // len(numbers)))
    told = house.succeed("model", "push", str(folder), "--name", NAME)
    return next(word for word in told.split() if word.startswith("sha256:"))


class Asking:
    """Someone who asks without a pause."""

    def __init__(self, house: RunningHouse) -> None:
        self._house = house
        self._stop = threading.Event()
        self.seen: list[tuple[int, str]] = []
        """Status and revision of each answer."""
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        body = {"model": NAME, "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 8}
        with httpx.Client(trust_env=False, timeout=120) as http:
            while not self._stop.is_set():
                answer = http.post(f"{self._house.url}/v1/chat/completions", json=body, headers=self._house.headers)
                self.seen.append((answer.status_code, answer.headers.get("x-roundhouse-revision", "")))


def test_swaps_in_place_by_surge_and_by_restart_fail_no_request(simulated_house: RunningHouse, tmp_path: Path) -> None:
    house = simulated_house
    house.succeed("scale", "simulated", "0")  # the machine may have two CPUs alone, and a surge needs one more
    old = push(house, tmp_path / "a", b"\x11\x11")
    deployed = house.http.put(
        f"{house.url}/api/v1/deployments/{NAME}", json={"engine": "simulated", "model": NAME}, headers=house.headers
    )
    assert deployed.status_code == 200, deployed.text
    until(lambda: house.api(f"/deployments/{NAME}")["ready_replicas"], 120, "the replica's start")
    new = push(house, tmp_path / "b", b"\x12\x12")
    with Asking(house) as asking:
        for aim, strategy in ((new, "in-place"), (old, "surge"), (new, "restart")):
            told = house.succeed("swap", NAME, aim, "--strategy", strategy, timeout_s=200)
            assert f"{strategy}: " in " ".join(told.split())
            (replica,) = [each for each in house.api("/replicas") if each["state"] == "ready"]
            assert replica["revision"] == aim
        house.succeed("rollback", NAME, timeout_s=200)
    assert {status for status, _ in asking.seen} == {200}
    revisions = [revision for _, revision in asking.seen]
    # While a surge lasts, old and new replicas answer side by side.
    assert (revisions[0], revisions[-1], set(revisions)) == (old, old, {old, new})
    journal = json.loads(house.succeed("swaps", NAME, "--json"))
    assert [each["step"] for each in journal] == ["done"] * 4
    house.succeed("undeploy", NAME)
    house.succeed("scale", "simulated", "1")
