"""Bytes a second of a push over loopback, beside plain tools that read, hash and write the same bytes on the same disk.

A push reads a folder, hashes it, sends it; the server hashes it again, writes it, syncs it and publishes a revision.
`dd | sha256sum` only reads and hashes; `dd conv=fsync` only reads, writes and syncs, which is what no upload can beat.
What `sha256sum` uses of the processor differs between systems, so OpenSSL's SHA-256 is shown, too. Rounds alternate and
begin with the other end each time; the ratio is the median of the rounds' ratios. The files are random and in the page
cache. A client hashes a file before it sends it if the library has one of that size ("sizes known"), because it may
then not have to be sent; others it hashes as they go.
"""

import shutil
import socket
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.bench.command import bench_parser, length_of, run_bench, write_json
from infra.bench.processes import Processes, free_port, rss_bytes, wait_for
from infra.bench.report import Floor, middle, print_floors, ratio_of_rounds
from infra.bench.ways import MIB, SIZES, Size, Way, measure, print_ways, run_shell, ways_json, write_files
from orchestrator.library.uploads.push import Push, PushProgress

FLOOR_RATIO = 0.7


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
        measure(self.ways, self._size, [self.pid], lambda: self._copy.unlink(missing_ok=True))

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
        write_files(self._source, self._size, odd_bytes=odd_bytes)

    def _is_up(self) -> bool:
        socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        return True


def main() -> None:
    """Measures, prints, writes the JSON."""
    options = _parse()
    size = SIZES[length_of(options)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="upload-bench-", dir=options.dir)))
        bench = _Bench(folder, size, Processes(stack, folder))
        bench.run()
        grown = max(0, bench.most_rss_bytes - bench.idle_rss_bytes) / MIB
    push, _, hashing = bench.ways[:3]
    print_ways(bench.ways, size, folder.parent)
    print(f"  The server grew by {grown:.0f} MiB and used {middle(push.cpu_s):.2f} s of CPU for each push.")
    ratio = ratio_of_rounds(push.mib_per_s, hashing.mib_per_s)
    floors = [Floor("Push ÷ dd | sha256sum", FLOOR_RATIO, ratio), Floor("Server RSS growth", 64, grown, "MiB", True)]
    print_floors(floors)
    report = ways_json(bench.ways, size) | {"rss_growth_mib": grown, "floors": [floor.as_json() for floor in floors]}
    write_json(options.json, report)


def _parse() -> Namespace:
    parser = bench_parser("upload", __doc__)
    parser.add_argument("--dir", type=Path, metavar="DIR", help="on the disk to measure (else where TMPDIR is)")
    return parser.parse_args()


if __name__ == "__main__":
    run_bench(main)
