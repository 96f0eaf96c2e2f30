"""What a replica needs of an inference engine, whatever makes the tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from starlette.types import ASGIApp

from replicas.types import EngineCapacity, EngineKind, EngineLoad, ReplicaSpec

Progress = Callable[[str], None]
"""Takes a short sentence on what a starting engine is doing now. Must not block."""


class Engine(Protocol):
    """One engine in this process: started once, stopped once."""

    @property
    def app(self) -> ASGIApp:
        """The engine's HTTP surface (OpenAI's and more). Only after `start`; it does no authentication."""
        ...

    @property
    def capacity(self) -> EngineCapacity:
        """What it can take, once it has started."""
        ...

    @property
    def dead(self) -> bool:
        """True once the engine can never generate again. Cheap; from any thread."""
        ...

    async def start(self, spec: ReplicaSpec, progress: Progress) -> None:
        """Build the engine. May block the event loop for its whole length (vLLM does).

        Raises `EngineStartError`, and then leaves no process or memory behind.
        """
        ...

    def load(self) -> EngineLoad:
        """What the engine is doing now. Cheap (no I/O, no lock held long); from any thread."""
        ...

    async def generate_one(self) -> None:
        """Generate one token. Raises `EngineUnhealthyError` when the engine is dead.

        Waits as long as the engine hangs; the caller keeps the time.
        """
        ...

    async def prepare_swap(self, folder: Path) -> None:
        """Do all of a swap that can be done while requests run: read the files, know what they must turn into.

        Raises `SwapRefusedError`.
        """
        ...

    async def swap(self, folder: Path, revision: str) -> float:
        """Serve the weights in `folder`, which was prepared, from now on. Requests that still run are aborted.

        Returns once the engine has proved that it holds them, with the seconds that the load alone took. Raises
        `SwapFailedError` when the old weights are back, and `EngineUnhealthyError` when nothing is known of what it
        holds.
        """
        ...

    async def sleep(self) -> None:
        """Move the weights to the host's memory and give the GPUs back, the KV cache with all that was in it.

        Only where `capacity.sleep_bytes` is not None. Requests that still run are aborted. May raise anything; then
        nothing is known of what the engine holds.
        """
        ...

    async def wake(self) -> None:
        """Take the GPUs again and serve. As `sleep` if it fails."""
        ...

    async def stop(self) -> None:
        """End the engine and its processes; requests still in it fail. Safe to call twice or before `start`."""
        ...


def make_engine(kind: EngineKind) -> Engine:
    """An engine of `kind`, not started. Imports only what that kind needs."""
    if kind is EngineKind.SIMULATED:
        from replicas.simulated_engine import SimulatedEngine

        return SimulatedEngine()
    from replicas.vllm_engine import VllmEngine

    return VllmEngine()
