"""Roundhouse as a user runs it: the real command, in a home of its own, on ports of its own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from orchestrator.host.home import free_ports

ROUNDHOUSE = Path(sys.executable).with_name("roundhouse")
Value = TypeVar("Value")


def environment(home: Path) -> dict[str, str]:
    """The caller's environment without what would lead another way, and with byte code as `infra/up` has it."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "RAY_ADDRESS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROUNDHOUSE") and key not in dropped}
    return kept | {"ROUNDHOUSE_HOME": str(home)}


def run(home: Path, *words: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """One `roundhouse` command, with what it printed."""
    return subprocess.run(
        [str(ROUNDHOUSE), *words], env=environment(home), capture_output=True, text=True, timeout=timeout_s, check=False
    )


def until(question: Callable[[], Value | None], timeout_s: float, what: str) -> Value:
    """The first answer that is not None or False. Processes of others tell nobody when they change, so this asks."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that has ended and waits for its parent to notice does not."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@dataclass
class RunningHouse:
    home: Path
    port: int
    ops_port: int
    started: subprocess.CompletedProcess[str] | None = None
    took_s: float = 0
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=60))

    @classmethod
    def on_free_ports(cls, home: Path) -> "RunningHouse":
        port, ops_port = free_ports("127.0.0.1", 2)
        return cls(home, port, ops_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def command(self, *words: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        return run(self.home, *words, timeout_s=timeout_s)

    def succeed(self, *words: str, timeout_s: float = 300) -> str:
        done = self.command(*words, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *options: str, timeout_s: float = 280) -> None:
        started = time.monotonic()
        ports = ("--port", str(self.port), "--ops-port", str(self.ops_port))
        self.started = self.command("up", "--detach", *ports, *options, timeout_s=timeout_s)
        self.took_s = time.monotonic() - started
        logs = "".join(f"\n== {path.name}\n{path.read_text()[-3000:]}" for path in (self.home / "logs").glob("*.log"))
        assert self.started.returncode == 0, self.started.stdout + self.started.stderr + logs

    def down(self) -> None:
        self.succeed("down")

    def login_url(self) -> str:
        """The one-time link of a fresh `roundhouse login`."""
        return self.succeed("login").strip()

    def printed_login_url(self) -> str:
        assert self.started is not None
        found = re.search(r"http\S+/login#token=\S+", self.started.stdout)
        assert found, self.started.stdout
        return found.group()

    def api(self, path: str) -> Any:
        answer = self.http.get(f"{self.url}/api/v1{path}", headers=self.headers)
        answer.raise_for_status()
        return answer.json()

    def models(self) -> dict[str, dict[str, Any]]:
        answer = self.http.get(f"{self.url}/v1/models", headers=self.headers)
        answer.raise_for_status()
        return {each["id"]: each for each in answer.json()["data"]}

    def chat(self, model: str, text: str = "What is the capital of France?", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **more}
        return self.http.post(f"{self.url}/v1/chat/completions", headers=self.headers, json=body)

    def instance(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "run" / "instance.json").read_text()))

    def processes(self) -> list[psutil.Process]:
        """Everything below this house's `up`."""
        return psutil.Process(self.instance()["pid"]).children(recursive=True)

    def listeners(self) -> set[str]:
        """Addresses on which any process of this house listens."""
        own = {process.pid for process in self.processes()}
        return {
            connection.laddr.ip  # type: ignore[union-attr]
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.pid in own
        }

    def process_named(self, text: str) -> psutil.Process:
        def find() -> psutil.Process | None:
            return next((each for each in self.processes() if text in " ".join(each.cmdline())), None)

        return until(find, 60, f"a process named {text}")
