"""A look into a folder on this host before its files are taken."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.library.gguf import find_gguf
from orchestrator.library.verification.facts import ModelFacts

Verify = Callable[[Path], Awaitable[ModelFacts]]


async def look(folder: Path, verify: Verify) -> Path | None:
    """The GGUF file that the folder stands for, if it does. Raises ModelRejectedError for what cannot be a model."""
    packed = await asyncio.to_thread(find_gguf, folder)
    if packed is None and not await asyncio.to_thread(_has_links, folder):
        await verify(folder)
    return packed


def _has_links(folder: Path) -> bool:
    """Caches of hubs consist of them: such a folder can be verified only once its files have been taken."""
    return any(path.is_symlink() for path in folder.rglob("*"))
