"""The routers that ours is measured beside: how each is installed, and how it is started.

Each lives in an environment of its own under the user's cache. Both are Rust behind a Python launcher and are started
with their defaults, but for quiet logs, loopback addresses and no search for a tokenizer on a model hub.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.bench.processes import ROOT, free_port


@dataclass(frozen=True)
class Peer:
    """A router of somebody else under one of its policies."""

    key: str
    package: str
    version: str
    policy: str
    command: str
    arguments: Callable[[], Sequence[str]]
    """What its command line needs besides address, policy and the engines' URLs."""

    @property
    def name(self) -> str:
        """As the tables show it."""
        return f"{self.package} {self.version}, {self.policy}"

    def argv(self, executable: Path, port: int, engine_urls: Sequence[str]) -> list[str]:
        """The command that serves on `port` in front of the engines."""
        address = ["--host", "127.0.0.1", "--port", str(port), "--policy", self.policy]
        return [str(executable), *self.arguments(), *address, "--worker-urls", *engine_urls]


def _vllm_router() -> Sequence[str]:
    return ("--log-level", "error", "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()))


def _smg() -> Sequence[str]:
    return ("launch", *_vllm_router(), "--disable-tokenizer-autoload")


PEERS = (
    Peer("vllm_router_round_robin", "vllm-router", "0.1.17", "round_robin", "vllm-router", _vllm_router),
    Peer("vllm_router_cache_aware", "vllm-router", "0.1.17", "cache_aware", "vllm-router", _vllm_router),
    Peer("smg_round_robin", "smg", "1.13.0", "round_robin", "smg", _smg),
    Peer("smg_cache_aware", "smg", "1.13.0", "cache_aware", "smg", _smg),
)


class NotInstalledError(Exception):
    """A peer could not be installed; the message says why."""


def ensure_installed(peer: Peer) -> Path:
    """The peer's command. Raises `NotInstalledError`."""
    cache = Path(os.environ.get("ROUNDHOUSE_HOME", Path.home() / ".cache" / "roundhouse")) / "bench"
    environment = cache / f"{peer.package}-{peer.version}"
    executable = environment / "bin" / peer.command
    if executable.exists():
        return executable
    uv = shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")
    variables = dict(os.environ)
    # uv does not look where pip's configuration points.
    if "PIP_FIND_LINKS" in variables:
        variables.setdefault("UV_FIND_LINKS", variables["PIP_FIND_LINKS"])
    requirement = f"{peer.package}=={peer.version}"
    for step in (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "-q", "--python", str(environment / "bin" / "python"), requirement],
    ):
        try:
            done = subprocess.run(step, env=variables, capture_output=True, text=True, check=False)
        except OSError as exc:
            raise NotInstalledError(f"{requirement} could not be installed: {exc}") from exc
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["uv gave no reason"])[-1]
            raise NotInstalledError(f"{requirement} could not be installed: {reason}")
    return executable
