"""Fetches weights from a hub or a bucket, tells how far it is, and says why when it fails."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import structs

from orchestrator.errors import ModelRejectedError, SourceUnavailableError
from orchestrator.library.asking import ask, hub_name
from orchestrator.library.hub import REFUSED, Found
from orchestrator.library.listing import Listing, choose, digest
from orchestrator.library.sources import Source, SourceKind
from orchestrator.sentences import Saying, say

_LOOK_S = 0.5
_SPARE_DISK_BYTES = 2**30
_HUBS = (SourceKind.HUGGING_FACE, SourceKind.MODELSCOPE)


async def find(source: Source) -> tuple[Source, Listing]:
    """What has `source`, and what it would send. A bare id is asked of Hugging Face, then of ModelScope.

    Raises SourceUnavailableError (nothing reachable), ModelRejectedError (it says no, or has nothing to serve).
    """
    kinds = _HUBS if source.kind is SourceKind.ANY_HUB else (source.kind,)
    failures: list[SourceUnavailableError | ModelRejectedError] = []
    for kind in kinds:
        candidate = structs.replace(source, kind=kind)
        try:
            found = await _list(candidate)
        except (SourceUnavailableError, ModelRejectedError) as error:
            failures.append(error)
            continue
        return candidate, _listing(candidate, found)
    if len(failures) == 1:
        raise failures[0]
    told = " ".join(failure.message for failure in failures)
    refused = all(isinstance(failure, ModelRejectedError) for failure in failures)
    raise ModelRejectedError(told) if refused else SourceUnavailableError(told)


async def _list(source: Source) -> Found:
    return msgspec.json.decode((await _run(source, "list", _asked(source))).strip().splitlines()[-1], type=Found)


def _listing(source: Source, found: Found) -> Listing:
    """What is fetched, pinned. Raises ModelRejectedError. PURE."""
    unpinned = structs.replace(source, revision="", file="").text
    files = choose(found.files, source.file, unpinned)
    listing = Listing(commit=found.commit or digest(files), revision=found.commit or _asked(source), files=files)
    if _is_digest(source.revision) and listing.commit != source.revision:
        raise ModelRejectedError(say(Saying.SOURCE_CHANGED, source=unpinned, revision=source.revision))
    return listing


def _asked(source: Source) -> str:
    """The revision that a hub can be asked for."""
    return "" if _is_digest(source.revision) else source.revision


def _is_digest(revision: str) -> bool:
    """Whether `revision` pins files of a source that knows no commits."""
    return revision.startswith("sha256:")


async def fetch(source: Source, listing: Listing, folder: Path, progress: Callable[[int], Awaitable[None]]) -> None:
    """Download into `folder`, or go on where an earlier download stopped: then it holds the files of `listing` and no
    others. `progress` is given bytes on disk.

    Raises SourceUnavailableError (what came stays for the next try), ModelRejectedError.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    missing = listing.total_bytes - _bytes_below(folder)
    free = shutil.disk_usage(folder).free
    if free < missing + _SPARE_DISK_BYTES:
        where = str(folder)
        raise ModelRejectedError(
            say(Saying.NO_DISK_FOR_DOWNLOAD, source=source.text, needed_bytes=missing, folder=where, free_bytes=free)
        )
    task = asyncio.create_task(_run(source, "fetch", str(folder), msgspec.json.encode(listing)))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            await progress(min(listing.total_bytes, _bytes_below(folder)))
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(_tidy, source, listing, folder)


def _tidy(source: Source, listing: Listing, folder: Path) -> None:
    """Remove what is not of `listing`: partial files, and whole ones of an earlier commit. Raises
    SourceUnavailableError if something is missing."""
    wanted = {folder / each.path: each.size_bytes for each in listing.files}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()
    for path, size_bytes in wanted.items():
        if not path.is_file() or path.stat().st_size != size_bytes:
            file = str(path.relative_to(folder))
            raise SourceUnavailableError(say(Saying.NOT_ARRIVED_WHOLE, file=file, source=source.text))


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


async def _run(source: Source, verb: str, argument: str, told: bytes = b"") -> bytes:
    answer = await ask(source.kind, source.id, verb, argument, told)
    if answer.status == 0:
        return answer.output
    raise _failure(source, answer.status, answer.why)


def _failure(source: Source, status: int, why: str) -> ModelRejectedError | SourceUnavailableError:
    if source.kind is SourceKind.S3:  # whose sentences are whole
        return ModelRejectedError(why) if status == REFUSED else SourceUnavailableError(why)
    hub = hub_name(source.kind)
    if status == REFUSED:
        at = f" at {source.revision}" if source.revision else ""
        return ModelRejectedError(
            f"{hub} does not give out {source.id}{at}: {why} Check the id and the revision, or set a token that may "
            "read it."
        )
    return SourceUnavailableError(
        f"{hub} cannot be reached ({why}). Check the network, set a mirror (HF_ENDPOINT, MODELSCOPE_ENDPOINT), "
        "or give a folder with --model."
    )
