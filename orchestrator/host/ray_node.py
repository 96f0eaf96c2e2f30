"""Starts Ray on this machine: the head of a cluster, or a node that joins one."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.host.home import Home, Ports, write_secret
from orchestrator.host.processes import MARK

_OBJECT_STORE_BYTES = 80 * 2**20
"""Nothing of ours goes through Ray's object store; this is about the least that Ray accepts."""
NODE_CONFIG_VARIABLE = "ROUNDHOUSE_NODE_CONFIG"


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def write_node_config(home: Home, store_url: str, node_address: str) -> None:
    """What replicas on this node must know: where the store is, and on which address they serve. Mode 0600."""
    config = {"store_url": store_url, "node_address": node_address}
    write_secret(home.node_config, msgspec.json.encode(config).decode())


def environment(home: Home, token_path: Path, node_address: str) -> dict[str, str]:
    """Environment of Ray's processes, and so of the replicas: they learn the store from a file, not through Ray."""
    env = child_environment(home)
    if is_loopback(node_address):
        # Ray turns a loopback address into the host's routable one and then listens on every interface. This is its
        # switch for hosts that never form a cluster (its name tells where it came from); with it Ray stays on loopback.
        env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    env |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        NODE_CONFIG_VARIABLE: str(home.node_config),
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray runs its workers at niceness 15; an engine on the CPU would starve beside anything else.
        "RAY_worker_niceness": "0",
        # The actor decides what an accelerator-less engine sees; Ray must not hide devices from it.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    return env


def child_environment(home: Home) -> dict[str, str]:
    env: dict[str, str] = {key: value for key, value in os.environ.items() if not key.startswith("ROUNDHOUSE_")}
    # Without byte code an engine starts in twice the time.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {"ROUNDHOUSE_HOME": str(home.root), MARK: str(home.root), "PYTHONUNBUFFERED": "1"}
    return env


def head_command(home: Home, ports: Ports, address: str, cpus: int, labels: Mapping[str, str]) -> list[str]:
    return [
        *_ray_start(home, address, cpus, labels),
        "--head",
        f"--port={ports.ray}",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports.dashboard}",
        f"--ray-client-server-port={ports.ray_client}",
        f"--dashboard-agent-listen-port={ports.agent}",
    ]


def join_command(
    home: Home, ray_address: str, address: str, cpus: int, labels: Mapping[str, str], agent_port: int
) -> list[str]:
    return [
        *_ray_start(home, address, cpus, labels),
        f"--address={ray_address}",
        f"--dashboard-agent-listen-port={agent_port}",
    ]


def _ray_start(home: Home, address: str, cpus: int, labels: Mapping[str, str]) -> list[str]:
    return [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--block",
        "--disable-usage-stats",
        f"--node-ip-address={address}",
        f"--num-cpus={cpus}",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        f"--temp-dir={home.ray_folder}",
        *([f"--labels={','.join(f'{name}={value}' for name, value in labels.items())}"] if labels else []),
    ]
