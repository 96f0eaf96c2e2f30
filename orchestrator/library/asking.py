"""Runs the process that asks a hub or a bucket (`hub.py`, `s3.py`)."""

import asyncio
import sys
from typing import NamedTuple

from orchestrator.library.sources import SourceKind

_NAMES = {
    SourceKind.HUGGING_FACE: "Hugging Face",
    SourceKind.MODELSCOPE: "ModelScope",
    SourceKind.S3: "the S3 storage",
}


class Answer(NamedTuple):
    status: int
    """0, or one of the exit statuses that `hub.py` names."""
    output: bytes
    why: str
    """What the process said last of why it failed."""


async def ask(kind: SourceKind, subject: str, verb: str, argument: str, told: bytes = b"") -> Answer:
    """`told` is what it reads on stdin. Cancelled, it ends the process."""
    program = "orchestrator.library.s3" if kind is SourceKind.S3 else "orchestrator.library.hub"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", program, kind.value, subject, verb, argument,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await process.communicate(told)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = errors.decode(errors="replace").strip().splitlines()
    return Answer(process.returncode or 0, output, lines[-1] if lines else "it gave no reason")


def hub_name(kind: SourceKind) -> str:
    return _NAMES[kind]
