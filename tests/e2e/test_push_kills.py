"""Weights pushed through the router while the client and then the orchestrator are killed at random moments."""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.library.adopt import hash_folder
from replicas.weights.manifest import digest
from tests.e2e.house import ROUNDHOUSE, RunningHouse, environment, until
from tests.honest_models import LLAMA, header_of, llama_shapes, write_model, write_raw

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1200)]
_WIDE = {"hidden_size": 1024, "intermediate_size": 8192, "num_attention_heads": 16, "num_key_value_heads": 16}


def wide_model(folder: Path, rng: random.Random, layers: int) -> str:
    """Some 60 MB a layer in each of two files, with numbers of its own; the digest that it must have."""
    write_model(folder, LLAMA | _WIDE | {"num_hidden_layers": layers})
    shapes = llama_shapes(layers, hidden=1024, inter=8192, q=1024, kv=1024)
    header = header_of(shapes)
    size = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    # Bytes below 0x40 make finite numbers of any two of them.
    data = bytes(byte & 0x3F for byte in rng.randbytes(4096)) * (size // 4096 + 1)

    write_raw(folder / "model.safetensors", json.dumps(header).encode(), data[:size])
    return digest(hash_folder(folder, lambda _: None))


def push(house: RunningHouse, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(ROUNDHOUSE), "model", "push", str(folder), "--name", "wide"],
        env=environment(house.home) | {"COLUMNS": "200"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def received(house: RunningHouse) -> int:
    """Bytes of the push that have arrived; -1 while the orchestrator is away."""
    answer = house.http.get(f"{house.url}/api/v1/uploads", headers=house.headers)
    if answer.status_code != 200:
        return -1
    return max((each["received_bytes"] for each in answer.json() if each["state"] == "receiving"), default=0)


def test_push_whose_client_and_orchestrator_are_killed_arrives_whole(
    simulated_house: RunningHouse, tmp_path: Path, full: bool
) -> None:
    rng = random.Random(int(os.environ.get("ROUNDHOUSE_TEST_SEED", "7")))
    wanted = []
    for turn in range(20 if full else 3):
        folder = tmp_path / f"r{turn}"
        wanted.append(wide_model(folder, rng, layers=2))
        total = sum(path.stat().st_size for path in folder.iterdir())
        cut = push(simulated_house, folder)
        aim = int(total * rng.random() * 0.6)

        def begun(cut: "subprocess.Popen[str]" = cut, aim: int = aim) -> bool:
            return received(simulated_house) > aim or cut.poll() is not None

        until(begun, 60, "the push's start")
        cut.kill()
        cut.communicate()
        again = push(simulated_house, folder)
        time.sleep(rng.random() * 0.8)  # at any point of it, not at one that is looked for
        simulated_house.process_named("orchestrator.main").kill()
        told, _ = again.communicate(timeout=200)
        assert again.returncode == 0, told
        assert wanted[-1] in told
        for path in folder.iterdir():
            path.unlink()
    shown = simulated_house.api("/models/wide")
    assert {each["digest"]: each["state"] for each in shown["revisions"]} == dict.fromkeys(wanted, "ready")
    assert simulated_house.api("/uploads") == [] or all(
        each["state"] != "receiving" for each in simulated_house.api("/uploads")
    )
