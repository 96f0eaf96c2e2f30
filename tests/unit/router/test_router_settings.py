"""What the router is told from outside."""

from typing import Any

import pytest
from pydantic import ValidationError

from router.settings import RouterSettings

OURS, STANDARD = "ROUNDHOUSE_ROUTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, ""),
        ({STANDARD: "http://collector:4318/"}, "http://collector:4318"),
        ({STANDARD: "http://collector:4318", OURS: "https://other"}, "https://other"),
        # Off for the router alone.
        ({STANDARD: "http://collector:4318", OURS: ""}, ""),
    ],
)
def test_collector_is_ours_or_the_standards(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], endpoint: str
) -> None:
    for name in (OURS, STANDARD):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert RouterSettings().otlp_endpoint == endpoint


@pytest.mark.parametrize(
    "settings",
    [
        {"otlp_endpoint": "collector:4317"},
        {"otlp_endpoint": "grpc://collector:4317"},
        {"workers": 0},
        {"workers": 3, "ops_port": 65534},
        {"access_log_sample": 1.5},
        {"trace_sample": -0.1},
        {"store_url": "http://:secret@store"},
    ],
)
def test_what_cannot_work_is_refused_without_telling_secrets(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        RouterSettings(**settings)
    assert "secret" not in "".join(error["msg"] for error in refused.value.errors())


def test_free_ops_ports_are_for_any_number_of_workers() -> None:
    assert RouterSettings(workers=64, ops_port=0).workers == 64
