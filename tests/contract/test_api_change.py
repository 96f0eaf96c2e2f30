"""What a deployment is asked to be can be read, changed in one place and written back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.api_house import ApiHouse, api_house

ASKED = {
    "engine": "simulated",
    "scaling": {"min_replicas": 0, "max_replicas": 3, "idle_timeout_s": 60, "priority": 2},
    "max_model_len": 2048,
    "engine_args": {"faults": {}},
    "simulation": {"swap_s": 2, "start_s": 9, "block_tokens": 32},
    "drain_deadline_s": 7,
    "placement": "pack",
    "node_labels": {"zone": "a"},
    "routing": {"policy": "least-loaded", "queue_requests": 77},
}
WRITABLE = (
    "engine", "scaling", "gpus_per_replica", "engine_args", "simulation", "drain_deadline_s", "placement",
    "node_labels", "routing", "sleep_mode",
)  # fmt: skip


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    async with api_house(valkey_url, tmp_path) as made:
        yield made


async def test_deployment_written_as_it_was_read_stays_as_it_was(house: ApiHouse) -> None:
    read = (await house.client.put("/deployments/chat", json=ASKED)).json()
    assert read["asked_max_model_len"] == 2048
    assert read["simulation"] | ASKED["simulation"] == read["simulation"]
    body = {name: read[name] for name in WRITABLE} | {"max_model_len": read["asked_max_model_len"]}
    again = await house.client.put("/deployments/chat", json=body)
    assert again.status_code == 200, again.text
    settled = {name: value for name, value in again.json().items() if name != "updated_at"}
    assert settled == {name: value for name, value in read.items() if name != "updated_at"}
