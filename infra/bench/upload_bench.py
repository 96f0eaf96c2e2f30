"""Bytes a second of a push over loopback, beside plain tools that read, hash and write the same bytes on the same disk.

A push reads a folder, hashes it, sends it; the server hashes it again, writes it, syncs it and publishes a revision.
`dd | sha256sum` only reads and hashes; `dd conv=fsync` only reads, writes and syncs, which is what no upload can beat.
What `sha256sum` uses of the processor differs between systems, so OpenSSL's SHA-256 is shown, too. Rounds alternate and
begin with the other end each time; the ratio is the median of the rounds' ratios. The files are random and in the page
cache. A client hashes a file before it sends it if the library has one of that size ("sizes known"), because it may
then not have to be sent; others it hashes as they go.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic, time_ns
from typing import Any

from infra.bench.processes import CoreClock, CoreUse, Processes, cpu_s, free_port, rss_bytes, wait_for
from infra.bench.report import Floor, middle, percent, print_floors, print_table, ratio_of_rounds
from orchestrator.library.uploads.push import Push, PushProgress

FLOOR_RATIO = 0.7
MIB = 2**20
_FILES = 4


@dataclass(frozen=True)
class Size:
    """How much is sent."""

    rounds: int
    file_mib: int
    """Of each of the four files."""


SIZES = {"quick": Size(1, 32), "usual": Size(3, 128), "full": Size(7, 256)}


@dataclass
class Way:
    """One way to read the bytes, and what was measured."""

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = os.sync
    mib_per_s: list[float] = field(default_factory=list)
    cores: list[CoreUse] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Of the server, for a push."""

    def as_json(self) -> dict[str, Any]:
        """Every round's figures."""
        cores = [vars(use) for use in self.cores]
        return {"way": self.name, "mib_per_s": self.mib_per_s, "server_cpu_s": self.cpu_s, "cores": cores}


class _Bench:
    def __init__(self, folder: Path, size: Size, processes: Processes) -> None:
        self._source = folder / "model"
        self._copy = folder / "copy"
        self._size = size
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}/api/v1"
        self._count = 0
        self.most_rss_bytes = 0
        self._source.mkdir()
        self._renew()
        command = [sys.executable, "-P", "-m", "infra.bench.upload_server", str(folder / "server"), str(self._port)]
        self.pid = processes.start("server", command)
        wait_for("The server", self._is_up)
        self.idle_rss_bytes = rss_bytes(self.pid)
        files = sorted(self._source.iterdir())
        feed = " ".join(f"dd if={file} bs=4M status=none;" for file in files)
        self.ways = [
            Way("push", self._push, lambda: self._renew(self._count + 1)),
            Way("push, sizes known", self._push, self._renew),
            Way("dd | sha256sum", lambda: run_shell(f"{{ {feed} }} | sha256sum")),
            Way("dd conv=fsync", lambda: run_shell(f"{{ {feed} }} | dd of={self._copy} bs=4M conv=fsync status=none")),
        ]
        if shutil.which("openssl"):
            self.ways.append(Way("dd | openssl sha256", lambda: run_shell(f"{{ {feed} }} | openssl dgst -sha256")))

    def run(self) -> None:
        """Every way once a round."""
        total_mib = self._size.file_mib * _FILES
        for turn in range(self._size.rounds):
            for way in self.ways if turn % 2 == 0 else reversed(self.ways):
                way.prepare()
                clock, used, started = CoreClock(), cpu_s(self.pid), monotonic()
                way.run()
                way.mib_per_s.append(total_mib / (monotonic() - started))
                way.cores.append(clock.read())
                way.cpu_s.append(cpu_s(self.pid) - used)
                self._copy.unlink(missing_ok=True)

    def _push(self) -> None:
        self._count += 1
        with Push(self._url, {}, progress=self._look) as push:
            pushed = push.run(self._source, f"bench-{self._count}")
        if pushed.sent_bytes != pushed.total_bytes:
            raise SystemExit(f"{pushed.sent_bytes} bytes were sent: the figures would mean nothing.")

    def _look(self, _: PushProgress) -> None:
        self.most_rss_bytes = max(self.most_rss_bytes, rss_bytes(self.pid))

    def _renew(self, odd_bytes: int = 0) -> None:
        """Other content, so that the library has none of it; with `odd_bytes` also a size that it does not know."""
        random = Random(time_ns())
        for number in range(_FILES):
            with (self._source / f"model-{number}.safetensors").open("wb") as file:
                for _ in range(self._size.file_mib):
                    file.write(random.randbytes(MIB))
                file.write(bytes(odd_bytes))
                file.flush()
                os.fsync(file.fileno())

    def _is_up(self) -> bool:
        socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        return True


def run_shell(command: str) -> None:
    """A line of Bash that must succeed."""
    subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    size = SIZES["quick" if options.quick else "full" if options.full else "usual"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="upload-bench-", dir=options.dir)))
        bench = _Bench(folder, size, Processes(stack, folder))
        bench.run()
        grown = max(0, bench.most_rss_bytes - bench.idle_rss_bytes) / MIB
    push, _, hashing = bench.ways[:3]
    rows = []
    for way in bench.ways:
        beside = "" if way is push else f"{ratio_of_rounds(push.mib_per_s, way.mib_per_s):.2f}"
        busy = middle((use.system_busy + use.load_busy) for use in way.cores)
        stolen = percent(middle(use.machine_stolen for use in way.cores))
        rows.append((way.name, f"{middle(way.mib_per_s):.0f}", beside, f"{busy:.2f}", stolen))
    print_table(
        f"{_FILES} files of {size.file_mib} MiB on {folder.parent}: {size.rounds} rounds, medians",
        ("", "MiB/s", "push ÷ it", "cores busy", "stolen"),
        rows,
    )
    print(f"  The server grew by {grown:.0f} MiB and used {middle(push.cpu_s):.2f} s of CPU for each push.")
    ratio = ratio_of_rounds(push.mib_per_s, hashing.mib_per_s)
    floors = [Floor("Push ÷ dd | sha256sum", FLOOR_RATIO, ratio), Floor("Server RSS growth", 64, grown, "MiB", True)]
    print_floors(floors)
    if options.json:
        report: dict[str, Any] = {"cores": os.cpu_count(), "size": vars(size), "files": _FILES, "rss_growth_mib": grown}
        report |= {"ways": [way.as_json() for way in bench.ways], "floors": [floor.as_json() for floor in floors]}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="infra/bench/upload", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="to see that it works, not to quote")
    length.add_argument("--full", action="store_true", help="to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="on the disk to measure (else where TMPDIR is)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
