from typing import Any

import pytest

from orchestrator.host.options import UpOptions
from orchestrator.host.up import _body

ROUTING = {"policy": "least-loaded"}
FAR = {"name": "far", "url": "https://far/v1", "has_key": True, "weight": 1.0}
PLACED = {"placement": "pack", "node_labels": {"rack": "2"}}
SHARED = {
    "drain_deadline_s": 5.0,
    "routing": ROUTING,
    "scaling": None,
    **PLACED,
    "external": [{"name": "far", "url": "https://far/v1", "weight": 1.0}],
}
BEFORE = {
    "engine": "vllm", "replicas": 3, "gpus_per_replica": 1.0, "engine_args": {"seed": 1}, "drain_deadline_s": 5.0,
    "routing": ROUTING, "external": [FAR], "scaling": None, "sleep_mode": True, "simulation": {"start_s": 1.0},
    "asked_max_model_len": 4096, **PLACED,
}  # fmt: skip
OWN = {
    "gpus_per_replica": 1.0, "engine_args": {"seed": 1}, "sleep_mode": True, "simulation": {"start_s": 1.0},
    "max_model_len": 4096,
}  # fmt: skip
RULES = {"min_replicas": 0, "max_replicas": 4}


@pytest.mark.parametrize(
    ("options", "before", "kept"),
    [
        ({}, None, {}),
        ({}, BEFORE, {"replicas": 3, **OWN, **SHARED}),
        ({"replicas": 1}, BEFORE, {"replicas": 1, **OWN, **SHARED}),
        ({}, BEFORE | {"replicas": 0}, {**OWN, **SHARED}),
        ({}, BEFORE | {"scaling": RULES}, {**OWN, **SHARED, "scaling": RULES}),
        ({}, BEFORE | {"engine": "external", "replicas": 0, "gpus_per_replica": 0.0}, SHARED),
        ({}, BEFORE | {"engine": "simulated"}, SHARED),
    ],
)
def test_up_over_a_deployment_keeps_what_an_admin_set_and_was_not_asked_to_change(
    options: dict[str, Any], before: dict[str, Any] | None, kept: dict[str, Any]
) -> None:
    assert _body(UpOptions(**options), before, {"model": "tiny"}) == {"model": "tiny", **kept}
