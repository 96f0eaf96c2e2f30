"""The process that keeps and passes on a host's weights, as a child of `up` and of `join`."""

import os
import sys

from orchestrator.host.home import Home
from orchestrator.host.processes import Child
from orchestrator.host.ray_node import child_environment

GRACE_S = 5.0
_PREFIX = "ROUNDHOUSE_WEIGHTS_"


def library_child(home: Home, *, store_url: str, address: str) -> Child:
    """Of the orchestrator's host: passes on the library, which is the orchestrator's to write."""
    return _child(
        home, {"STORE_URL": store_url, "ADDRESS": address, "FOLDER": str(home.contents), "IS_LIBRARY": "true"}
    )


def cache_child(home: Home, *, store_url: str, address: str, cache_size: str | None) -> Child:
    """Of a joined host. `cache_size` as `200GiB`; None leaves it to our own environment."""
    decided = {"STORE_URL": store_url, "ADDRESS": address, "FOLDER": str(home.cache), "IS_LIBRARY": "false"}
    if cache_size is not None:
        decided["CACHE_BYTES"] = cache_size
    return _child(home, decided)


def _child(home: Home, decided: dict[str, str]) -> Child:
    env = child_environment(home)
    env |= {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    env |= {f"{_PREFIX}{name}": value for name, value in decided.items()}
    return Child("weights", [sys.executable, "-m", "replicas.weights.main"], env, home.logs / "weights.log")
