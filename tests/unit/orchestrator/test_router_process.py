"""The router as a child of `up` and `join`: which settings it gets, and where it may listen."""

import socket
from pathlib import Path

import pytest

from orchestrator.errors import HostError
from orchestrator.host.home import Home
from orchestrator.host.options import RouterOptions, UpOptions
from orchestrator.host.router_process import require_free_ports, router_child


def settings(home: Home, options: RouterOptions, orchestrator_url: str = "") -> dict[str, str]:
    child = router_child(home, options, store_url="redis://:p@10.0.0.1:1/0", orchestrator_url=orchestrator_url)
    prefix = "ROUNDHOUSE_ROUTER_"
    return {name.removeprefix(prefix): value for name, value in child._env.items() if name.startswith(prefix)}


def test_router_of_up_logs_requests_into_the_home(tmp_path: Path) -> None:
    options = UpOptions(port=8001, ops_port=9100, workers=3, model="x")
    assert settings(Home(tmp_path), options, orchestrator_url="http://127.0.0.1:1") == {
        "HOST": "127.0.0.1",
        "PORT": "8001",
        "OPS_HOST": "127.0.0.1",
        "OPS_PORT": "9100",
        "WORKERS": "3",
        "STORE_URL": "redis://:p@10.0.0.1:1/0",
        "ORCHESTRATOR_URL": "http://127.0.0.1:1",
        "NO_AUTH": "false",
        "ACCESS_LOG": str(tmp_path / "logs" / "access.jsonl"),
    }
    assert options.listens_on == [("127.0.0.1", port) for port in (8001, 9100, 9101, 9102)]
    assert options.ops_urls == [f"http://127.0.0.1:{port}" for port in (9100, 9101, 9102)]


def test_routers_own_variables_go_on_to_it_and_decide_nothing_that_up_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ROUNDHOUSE_ROUTER_ACCESS_LOG": "",
        "ROUNDHOUSE_ROUTER_TRACE_SAMPLE": "0.1",
        "ROUNDHOUSE_ROUTER_NO_AUTH": "true",
        "ROUNDHOUSE_ROUTER_STORE_URL": "redis://elsewhere",
        "ROUNDHOUSE_KEY": "secret",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }.items():
        monkeypatch.setenv(name, value)
    found = settings(Home(tmp_path), RouterOptions())
    assert (found["ACCESS_LOG"], found["TRACE_SAMPLE"]) == ("", "0.1")
    assert (found["NO_AUTH"], found["STORE_URL"]) == ("false", "redis://:p@10.0.0.1:1/0")
    env = router_child(Home(tmp_path), RouterOptions(), store_url="redis://x")._env
    assert "ROUNDHOUSE_KEY" not in env
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"


def test_taken_port_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=rf"port {port} on 127.0.0.1.*--ops-port"):
            require_free_ports(RouterOptions(port=port, ops_port=1024))
