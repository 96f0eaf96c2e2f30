"""Other weights in a running vLLM engine: paused, reloaded, proved, resumed.

vLLM reloads weights of the same shapes into the tensors that are there. It resets neither the prefix cache nor what
the front end knows, and an older version was seen to keep stale weights; so what the engine then holds is compared
with the files, and must answer.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from replicas import tensor_digest
from replicas.errors import EngineUnhealthyError, ReplicaError, SwapFailedError, SwapRefusedError
from replicas.tensor_digest import Fingerprint, same_weights

_log = logging.getLogger(__name__)
WORKER_EXTENSION = "replicas.tensor_digest.FingerprintingWorker"

Answer = Callable[[], Awaitable[tuple[tuple[int, ...], float]]]
"""Answers a fixed prompt greedily: the tokens, and the logarithm of their likelihood."""


class InPlaceSwap:
    """Swaps the weights of one engine. `client` is vLLM's `AsyncLLM`, `app` its HTTP surface.

    `answer` is None for engines that generate nothing.
    """

    def __init__(self, client: Any, app: Any, folder: Path, answer: Answer | None) -> None:
        self._client = client
        self._answer = answer
        self._app = app
        self._folder = folder
        """Of the weights that the engine holds."""
        self._held: Fingerprint | None = None
        """What they are in the engine; None where it cannot be told."""
        self._of_files: dict[Path, Fingerprint] = {}

    async def learn(self) -> None:
        """Take the fingerprint of weights that were just loaded in the ordinary way. The engine must be idle."""
        try:
            self._held = await self._fingerprint()
        except Exception as error:  # noqa: BLE001 - vLLM raises anything; an engine that serves must not end for this
            _log.warning("The engine's weights have no fingerprint, so they cannot be swapped in place: %s", error)
            self._held = None

    async def prepare(self, folder: Path) -> None:
        """Raises SwapRefusedError. Reads both sets of files, which also brings them into the page cache."""
        held = self._held
        if held is None:
            raise SwapRefusedError(
                "What this engine holds cannot be proved: its weights are split between several GPUs, or kept in a "
                "form that has no fingerprint. Swap by restart."
            )
        await asyncio.to_thread(_require_same_shapes, self._folder, folder)
        known = await asyncio.to_thread(self._fingerprint_of, self._folder, held)
        if not same_weights(held, known):
            raise SwapRefusedError(
                "This engine keeps the weights in a form of its own that cannot be compared with the files, so the new "
                "ones could not be proved. Swap by restart."
            )
        await asyncio.to_thread(self._fingerprint_of, folder, held)

    async def swap(self, folder: Path, revision: str) -> float:
        """As `Engine.swap`."""
        wanted = self._of_files.get(folder)
        if wanted is None:
            raise SwapRefusedError(f"{folder} was not prepared.")
        before = self._folder
        try:
            took_s = await self._load(folder, wanted)
        except ReplicaError as error:
            try:
                await self._load(before, self._of_files[before])
            except ReplicaError as worse:
                raise EngineUnhealthyError(f"{error} The old weights did not come back either: {worse}") from worse
            raise SwapFailedError(f"{error} The old weights are back.") from error
        self._folder, self._held = folder, wanted
        self._of_files = {folder: wanted, before: self._of_files[before]}
        label(self._app, revision)
        return took_s

    async def _load(self, folder: Path, wanted: Fingerprint) -> float:
        """Load and prove; seconds of the load alone. Raises SwapFailedError; the engine then holds whatever it does."""
        await self._client.pause_generation(mode="abort")
        began = time.monotonic()
        try:
            await self._client.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            took_s = time.monotonic() - began
            # What was computed with the old weights must never meet the new ones.
            if not await self._client.reset_prefix_cache():
                raise SwapFailedError("The engine did not give up its prefix cache.")
            held = await self._fingerprint()
        except ReplicaError:
            raise
        except Exception as error:
            raise SwapFailedError(f"The engine could not load the weights: {error}.") from error
        finally:
            await self._client.resume_generation()
        if held is None or not same_weights(held, wanted):
            raise SwapFailedError("The engine does not hold what is in the files.")
        await self._prove_answer()
        return took_s

    async def _prove_answer(self) -> None:
        """A greedy answer must be there, of finite likelihood, and the same twice."""
        if self._answer is None:
            return
        first, second = await self._answer(), await self._answer()
        if not first[0] or not math.isfinite(first[1]):
            raise SwapFailedError("With these weights the engine answers nothing that is a number.")
        if first[0] != second[0]:
            raise SwapFailedError("With these weights the engine answers the same question differently each time.")

    async def _fingerprint(self) -> Fingerprint | None:
        answers = await self._client.collective_rpc("fingerprint_weights")
        return msgspec.convert(answers[0], Fingerprint) if len(answers) == 1 else None

    def _fingerprint_of(self, folder: Path, held: Fingerprint) -> Fingerprint:
        if folder not in self._of_files:
            config = self._client.model_config
            self._of_files[folder] = tensor_digest.of_files(
                folder,
                str(config.dtype).removeprefix("torch."),
                tied=bool(getattr(config.hf_text_config, "tie_word_embeddings", False)),
                packed=held.blocks.keys(),
            )
        return self._of_files[folder]


def label(app: Any, revision: str) -> None:
    """Have every answer's `system_fingerprint` name the weights."""
    for part in vars(app.state)["_state"].values():
        if hasattr(part, "system_fingerprint"):
            part.system_fingerprint = fingerprint_of(revision)


def fingerprint_of(revision: str) -> str:
    """What stands in `system_fingerprint`: enough of the digest to tell revisions apart."""
    return f"rh-{revision.removeprefix('sha256:')[:16]}"


def _require_same_shapes(one: Path, other: Path) -> None:
    """Raises SwapRefusedError unless both have the same tensors."""
    before, after = _shapes(one), _shapes(other)
    if before == after:
        return
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    raise SwapRefusedError(
        f"{differing[0]} differs in shape, type or presence ({len(differing)} tensors do). These weights are of "
        "another architecture: swap by restart."
    )


def _shapes(folder: Path) -> dict[str, tuple[object, ...]]:
    from safetensors import safe_open

    shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                tensor = file.get_slice(name)
                shapes[name] = (tensor.get_dtype(), *tensor.get_shape())
    return shapes
