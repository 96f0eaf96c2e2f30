"""Verifies a model folder in a process with limits: `await verify(folder)`."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.errors import HostError, ModelRejectedError
from orchestrator.library.verification.facts import Accepted, ModelFacts, Refused, Verdict
from orchestrator.library.verification.refusal import Code
from orchestrator.library.verification.sandbox import Limits, clean_environment
from orchestrator.sentences import Saying, say

DEFAULT_LIMITS = Limits()
_SAYINGS: Mapping[Code, Saying] = {
    Code.NO_FOLDER: Saying.REJECTED_FILES,
    Code.PATH: Saying.REJECTED_FILES,
    Code.KIND: Saying.REJECTED_FILES,
    Code.CODE: Saying.REJECTED_CODE,
    Code.PICKLE: Saying.REJECTED_CODE,
    Code.ARCHIVE: Saying.REJECTED_FILES,
    Code.LINK: Saying.REJECTED_FILES,
    Code.SPECIAL_FILE: Saying.REJECTED_FILES,
    Code.TOO_MANY: Saying.REJECTED_FILES,
    Code.TOO_LARGE: Saying.REJECTED_FILES,
    Code.TEXT: Saying.REJECTED_CONFIG,
    Code.JSON: Saying.REJECTED_CONFIG,
    Code.REMOTE_CODE: Saying.REJECTED_CODE,
    Code.CONFIG: Saying.REJECTED_CONFIG,
    Code.NO_WEIGHTS: Saying.REJECTED_WEIGHTS,
    Code.HEADER: Saying.REJECTED_WEIGHTS,
    Code.INDEX: Saying.REJECTED_WEIGHTS,
    Code.SHAPE: Saying.REJECTED_TENSORS,
    Code.DTYPE: Saying.REJECTED_TENSORS,
    Code.MISSING_TENSOR: Saying.REJECTED_TENSORS,
    Code.UNKNOWN_TENSOR: Saying.REJECTED_TENSORS,
    Code.NOT_FINITE: Saying.REJECTED_NUMBERS,
    Code.TOKENIZER: Saying.REJECTED_TOKENIZER,
    Code.TEMPLATE: Saying.REJECTED_TOKENIZER,
    Code.LIMIT: Saying.REJECTED_LIMIT,
    Code.UNREADABLE: Saying.REJECTED,
}
"""What pages say of each kind of fault, before the verdict's own sentence."""
_PROGRAM = "orchestrator.library.verification"
_HEARD_BYTES = 256 * 2**10


async def verify(folder: Path, limits: Limits = DEFAULT_LIMITS) -> ModelFacts:
    """Facts of the model in `folder`.

    Raises ModelRejectedError, whose sentence names the file at fault and says what to do; HostError if the examination
    cannot be run on this machine. If cancelled, the process is ended and waited for.
    """
    verdict = await judge(folder, limits)
    if isinstance(verdict, Refused):
        raise ModelRejectedError(say(_SAYINGS[Code(verdict.code)], said=verdict.sentence))
    return verdict.facts


async def judge(folder: Path, limits: Limits = DEFAULT_LIMITS) -> Verdict:
    """The verdict with its reason code. Raises HostError."""
    process = await asyncio.create_subprocess_exec(
        # -P, -s: modules come from the installation, never from the folder that this runs in.
        sys.executable, "-P", "-s", "-m", _PROGRAM, str(folder), msgspec.json.encode(limits).decode(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=_environment(), start_new_session=True,
    )  # fmt: skip
    output, told = bytearray(), bytearray()
    try:
        async with asyncio.timeout(limits.wall_s):
            await asyncio.gather(_listen(process.stdout, output), _listen(process.stderr, told))
            await process.wait()
    except TimeoutError:
        return _out_of_time(bytes(told), limits)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0 and output:
        return msgspec.json.decode(output, type=Accepted | Refused)
    return explain(process.returncode or 0, bytes(told), limits)


async def _listen(stream: asyncio.StreamReader | None, heard: bytearray) -> None:
    """Keep the end of what comes, also if the wait for more is broken off."""
    while stream is not None and (chunk := await stream.read(_HEARD_BYTES)):
        heard += chunk
        del heard[:-_HEARD_BYTES]


def _out_of_time(told: bytes, limits: Limits) -> Refused:
    file = last_file(told)
    why = f"could not be examined within {limits.wall_s:g} s"
    return Refused(Code.LIMIT, file, f"{file} {why}. Check that the disk is not overloaded and try again.")


def _environment() -> dict[str, str]:
    """An environment of its own: no token, no proxy, and libraries that start no threads (each takes address space)."""
    return clean_environment() | {
        "PYTHONHASHSEED": "0",
        "RAYON_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
    }


def last_file(told: bytes) -> str:
    """The file that the process was at, by what it told on stderr. PURE."""
    lines = [line for line in told.splitlines() if line.startswith(b'at "') and line.endswith(b'"')]
    return str(json.loads(lines[-1][3:])) if lines else "config.json"


def explain(status: int, told: bytes, limits: Limits) -> Refused:
    """What it means that the process ended with `status` and no verdict. Raises HostError. PURE."""
    if status >= 0:
        lines = told.decode(errors="replace").strip().splitlines()
        why = lines[-1][:200] if lines else f"exit status {status}"
        raise HostError(f"The process that examines models failed: {why}. Check the installation with infra/up.")
    file = last_file(told)
    published = "Take the file that was published with the model."
    if status == -signal.SIGPROF:
        sentence = f"{file} takes too much CPU time to load or to run. {published}"
    elif status == -signal.SIGXCPU:
        sentence = f"{file} was being examined when {limits.cpu_s} s of CPU time were used up. {published}"
    elif status == -signal.SIGKILL:
        why = "the process was killed, as a machine does that is short of memory"
        sentence = f"{file} was being examined when {why}. Free some memory and try again."
    else:
        # Native code that gets no memory aborts; it cannot be told from a crash.
        sentence = (
            f"{file} ended the examination ({signal.Signals(-status).name}): it needs more than "
            f"{limits.memory_bytes // 2**20} MiB, or is made to crash its reader. {published}"
        )
    return Refused(Code.LIMIT, file, sentence)
