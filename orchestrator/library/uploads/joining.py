"""Partial uploads put together to one file (tus concatenation)."""

from collections.abc import Callable
from pathlib import Path

from replicas.weights import durable
from replicas.weights.intake import Intake

_PIECE_BYTES = 4 * 2**20


def join(target: Intake, parts: list[tuple[Path, int]], reached: Callable[[str], None]) -> None:
    """Append `parts` (file, size in bytes) to `target` in order; each is removed once it is in.

    Where `target` ends tells how much was joined before a kill, so this can be called again.
    """
    start = 0
    for path, size in parts:
        if target.offset < start + size:
            _append(target, path, target.offset - start)
        target.flush()
        reached("part-joined")
        path.unlink(missing_ok=True)
        start += size
    target.close()
    durable.sync_folder(target.path.parent)


def _append(target: Intake, part: Path, first: int) -> None:
    with part.open("rb", buffering=0) as file:
        file.seek(first)
        while piece := file.read(_PIECE_BYTES):
            target.append([piece])
