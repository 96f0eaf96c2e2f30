"""The router as a child process, of `up` and of `join`."""

import os
import sys
from pathlib import Path

from orchestrator.errors import HostError
from orchestrator.host.home import Home, bind_error
from orchestrator.host.options import RouterOptions
from orchestrator.host.processes import Child
from orchestrator.host.ray_node import child_environment

GRACE_S = 35.0
"""From the request to stop to the end: longer than what is in flight may take to end."""
_PREFIX = "ROUNDHOUSE_ROUTER_"


def router_child(
    home: Home,
    options: RouterOptions,
    *,
    store_url: str,
    orchestrator_url: str = "",
    no_auth: bool = False,
    ui_dir: Path | None = None,
) -> Child:
    """Router settings of our own environment go on to it, unless they are decided here."""
    decided = {
        "HOST": options.host,
        "PORT": str(options.port),
        "OPS_HOST": options.ops_host,
        "OPS_PORT": str(options.ops_port),
        "WORKERS": str(options.workers),
        "STORE_URL": store_url,
        "ORCHESTRATOR_URL": orchestrator_url,
        "NO_AUTH": str(no_auth).lower(),
    }
    if ui_dir is not None:
        decided["UI_DIR"] = str(ui_dir)
    env = child_environment(home)
    env[f"{_PREFIX}ACCESS_LOG"] = str(home.logs / "access.jsonl")
    env |= {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    env |= {f"{_PREFIX}{name}": value for name, value in decided.items()}
    return Child("router", [sys.executable, "-m", "router.main"], env, home.logs / "router.log")


def require_free_ports(options: RouterOptions) -> None:
    """Raise HostError when something else listens where the router shall."""
    for host, port in options.listens_on:
        error = bind_error(host, port)
        if error is not None:
            raise HostError(
                f"The router cannot open port {port} on {host}: {error.strerror}. Stop what uses it, or choose others "
                "with --port and --ops-port."
            )
