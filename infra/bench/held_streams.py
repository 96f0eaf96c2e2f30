"""Open streams through one system, held by `stream_client.py` in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bench.processes import CoreClock, CoreUse, program
from infra.bench.systems import KEY, System

_ENDS_WITHIN_S = 20.0


@dataclass
class HeldStreams:
    """Streams that stay open until the context is left."""

    process: subprocess.Popen[str]
    wanted: int
    open: int

    def measure(self) -> tuple[dict[str, Any], CoreUse]:
        """Delays over the client's seconds, and the cores' use meanwhile."""
        clock = CoreClock()
        self._say("measure")
        self._line()
        cores = clock.read()
        figures: dict[str, Any] = json.loads(self._line())
        return figures, cores

    def _say(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@contextmanager
def held_streams(system: System, bodies: Path, streams: int, seconds: float = 0.0) -> Iterator[HeldStreams]:
    """Opens `streams` streams and closes them at the end. Some may have failed to open: see `open`."""
    arguments = [system.url, "--key", KEY, "--bodies", bodies, "--streams", streams, "--seconds", seconds]
    with subprocess.Popen(
        program("stream_client", *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            held = HeldStreams(process, streams, 0)
            held.open = int((held._line().split() or ["", "0"])[-1])
            yield held
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
