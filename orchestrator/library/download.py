"""Runs the hub process, tells how far it is, and says why when it fails."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from orchestrator.errors import ModelRejectedError, SourceUnavailableError
from orchestrator.library.hub import REFUSED
from orchestrator.library.sources import Source, SourceKind

_LOOK_S = 0.5
_SPARE_DISK_BYTES = 2**30
_HUB_NAMES = {SourceKind.HUGGING_FACE: "Hugging Face", SourceKind.MODELSCOPE: "ModelScope"}


class Listing(msgspec.Struct, frozen=True):
    total_bytes: int
    weights_bytes: int
    commit: str


async def find(source: Source) -> tuple[Source, Listing]:
    """The hub that has `source`, and what it would send. A bare id is asked of Hugging Face, then of ModelScope.

    Raises SourceUnavailableError (no hub reachable), ModelRejectedError (the hub says no, or has no safetensors).
    """
    any_hub = source.kind is SourceKind.ANY_HUB
    kinds = list(_HUB_NAMES) if any_hub else [source.kind]
    failures: list[SourceUnavailableError | ModelRejectedError] = []
    for kind in kinds:
        candidate = Source(kind, source.id, source.name)
        try:
            output = await _hub(candidate, Path(), "list")
        except (SourceUnavailableError, ModelRejectedError) as error:
            failures.append(error)
            continue
        listing = msgspec.json.decode(output.strip().splitlines()[-1], type=Listing)
        if not listing.weights_bytes:
            raise ModelRejectedError(f"{source.id} has no safetensors weights on {_HUB_NAMES[kind]}.")
        return candidate, listing
    told = " ".join(failure.message for failure in failures)
    refused = all(isinstance(failure, ModelRejectedError) for failure in failures)
    raise ModelRejectedError(told) if refused else SourceUnavailableError(told)


async def fetch(source: Source, listing: Listing, folder: Path, progress: Callable[[int], Awaitable[None]]) -> None:
    """Download into `folder`, or go on where an earlier download stopped. `progress` is given bytes on disk."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    missing = listing.total_bytes - _bytes_below(folder)
    free = shutil.disk_usage(folder).free
    if free < missing + _SPARE_DISK_BYTES:
        raise ModelRejectedError(
            f"{source.id} needs {missing / 2**30:.1f} GiB more on disk and {folder} has {free / 2**30:.1f} GiB free. "
            "Free some space or set ROUNDHOUSE_HOME to a larger disk."
        )
    task = asyncio.create_task(_hub(source, folder, listing.commit))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            await progress(min(listing.total_bytes, _bytes_below(folder)))
        await task
    finally:
        task.cancel()
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _bytes_below(folder: Path) -> int:
    """Bytes that are really on disk: a partial file may be sparse."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(parent, name))
            except FileNotFoundError:
                continue  # renamed from partial to whole as we looked
            total += min(status.st_size, status.st_blocks * 512)
    return total


async def _hub(source: Source, folder: Path, verb: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator.library.hub", source.kind.value, source.id, str(folder), verb,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode == 0:
        return output
    lines = errors.decode(errors="replace").strip().splitlines()
    why, hub = (lines[-1] if lines else "it gave no reason"), _HUB_NAMES[source.kind]
    if process.returncode == REFUSED:
        raise ModelRejectedError(
            f"{hub} does not give out {source.id}: {why} Check the id, or set a token that may read it."
        )
    raise SourceUnavailableError(
        f"{hub} cannot be reached ({why}). Check the network, set a mirror (HF_ENDPOINT, MODELSCOPE_ENDPOINT), "
        "or give a folder with --model."
    )


def hub_name(source: Source) -> str:
    return _HUB_NAMES[source.kind]
