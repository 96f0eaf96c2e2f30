"""GGUF files: which one a folder stands for, whether it can be converted, and the conversion to safetensors."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import msgspec
import psutil

from orchestrator.errors import ModelRejectedError
from orchestrator.library import gguf_support
from orchestrator.library.convert_gguf import OUT_OF_MEMORY, UNCONVERTIBLE
from orchestrator.library.gguf_header import HeaderError, read_header
from orchestrator.library.gguf_support import GgufFacts
from orchestrator.library.listing import choose_gguf, refuse_split
from orchestrator.library.verification import sandbox

_PROGRAM = "orchestrator.library.convert_gguf"
_SCRATCH = ".scratch"
"""What libraries write beside what they are asked for."""
_SPARE_DISK_BYTES = 2**30
_NAMED_BYTES = 300


def find_gguf(folder: Path) -> Path | None:
    """The GGUF file that `folder` stands for: its only one, if it has no safetensors; else None.

    Raises ModelRejectedError for several, with how to pick one, and for a split one.
    """
    if not folder.is_dir() or any(folder.rglob("*.safetensors")):
        return None
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.gguf") if path.is_file())
    if len(paths) > 1 and not all("-of-" in path for path in paths):
        raise ModelRejectedError(
            f"{folder} has {len(paths)} GGUF files and no safetensors weights. Give the path of one of them, "
            f"as in {folder / paths[0]}. They are {', '.join(paths[:12])}."
        )
    return folder / choose_gguf(paths, "", str(folder)) if paths else None


async def look(path: Path) -> GgufFacts:
    """What the header says. Raises ModelRejectedError for a file that is damaged or cannot be converted."""
    return await asyncio.to_thread(_look, path)


def _look(path: Path) -> GgufFacts:
    refuse_split(path.name)
    try:
        with path.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            header = read_header(stream, size_bytes)
    except HeaderError as error:
        raise ModelRejectedError(f"{path.name} {error}. Take the file that was published with the model.") from error
    except OSError as error:
        raise ModelRejectedError(f"{path.name} cannot be read: {error.strerror}. Check the path.") from error
    return gguf_support.facts_of(header, path.name, size_bytes)


def expected_s(path: Path) -> float:
    """How long `convert` will take, to tell its progress by."""
    return gguf_support.expected_s(path.stat().st_size)


async def convert(source: Path, target: Path) -> None:
    """Write `source` as bfloat16 safetensors with tokenizer and chat template into the new folder `target`.

    In a process of its own with limits on memory, CPU time and file size, without network, that can write only into
    `target`. Raises ModelRejectedError; then, and if cancelled, `target` is gone.
    """
    facts = await look(source)
    _make_room(facts, source, target)
    try:
        await _convert(facts, source, target)
        await asyncio.to_thread(shutil.rmtree, target / _SCRATCH)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _make_room(facts: GgufFacts, source: Path, target: Path) -> None:
    fault = gguf_support.memory_fault(facts, psutil.virtual_memory().available)
    if fault is not None:
        raise ModelRejectedError(f"{source.name} {fault}")
    (target / _SCRATCH).mkdir(parents=True)
    free = shutil.disk_usage(target).free
    if free < facts.converted_bytes + _SPARE_DISK_BYTES:
        shutil.rmtree(target)
        raise ModelRejectedError(
            f"{source.name} becomes {facts.converted_bytes / 2**30:.1f} GiB of safetensors and {target.parent} has "
            f"{free / 2**30:.1f} GiB free. Free some space or set ROUNDHOUSE_HOME to a larger disk."
        )


async def _convert(facts: GgufFacts, source: Path, target: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *_command(facts, source, target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env=_environment(target), start_new_session=True,
    )  # fmt: skip
    try:
        _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ModelRejectedError(explain(process.returncode or 0, told, source.name, facts))


def _command(facts: GgufFacts, source: Path, target: Path) -> list[str]:
    # -P, -s: modules come from the installation, never from the folder that this runs in.
    program = [sys.executable, "-P", "-s", "-m", _PROGRAM]
    return [*program, str(source.resolve()), str(target.resolve()), msgspec.json.encode(facts).decode()]


def _environment(target: Path) -> dict[str, str]:
    """An environment of its own: no token, no proxy, no GPU, and nothing fetched from a hub."""
    return sandbox.clean_environment() | {
        "HOME": str(target / _SCRATCH),
        "TMPDIR": str(target / _SCRATCH),
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MALLOC_ARENA_MAX": "2",
    }


def explain(status: int, told: bytes, name: str, facts: GgufFacts) -> str:
    """What it means that the conversion of `name` ended with `status`. PURE."""
    lines = told.decode(errors="replace").strip().splitlines()
    why = lines[-1][:_NAMED_BYTES] if lines else f"status {status}"
    instead = "Take the model as safetensors."
    if status == UNCONVERTIBLE:
        return f"{name} {why}. {instead}"
    if status == OUT_OF_MEMORY:
        return f"{name} takes more than the {facts.memory_bytes / 2**30:.1f} GiB that a file like it needs. {instead}"
    if status == -signal.SIGXCPU:
        return f"{name} takes more than {facts.cpu_s} s of CPU time to convert. {instead}"
    if status == -signal.SIGKILL:
        return f"{name} was being converted when the process was killed, as a machine does that is short of memory."
    if status < 0:
        return (
            f"{name} ended the conversion ({signal.Signals(-status).name}): it is made to crash its reader. {instead}"
        )
    return f"{name} cannot be converted by Transformers: {why}. {instead}"
