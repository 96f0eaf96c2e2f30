"""How weights can be changed, from what the two revisions consist of. PURE."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.types import Deployment, ObservedNode, SwapStrategy
from replicas.weights.manifest import Manifest

_IGNORED_NAMES = ("README", "LICENSE", "LICENCE", "NOTICE")
_IGNORED_SETTINGS = ("_name_or_path", "transformers_version")
_WEIGHTS = (".safetensors", ".safetensors.index.json")


class Revised(Struct, frozen=True):
    """What a strategy depends on of one revision."""

    manifest: Manifest
    config: Mapping[str, Any]
    """Of `config.json`."""


def choose_strategy(before: Revised | None, after: Revised | None, *, spare: bool) -> tuple[SwapStrategy, str]:
    """The strategy, and why, in words for an admin. None: nothing is known of that revision.

    In place means: other numbers in the same tensors. What an engine reads once at its start - the configuration, the
    tokenizer, the chat template, defaults of generation - must be the same. `spare`: all replicas have room a second
    time.
    """
    obstacle = why_not_in_place(before, after)
    if obstacle is None:
        return SwapStrategy.IN_PLACE, "same architecture, tokenizer and chat template"
    if spare:
        return SwapStrategy.SURGE, f"{obstacle}, and there is room for new replicas beside the old ones"
    return SwapStrategy.RESTART, f"{obstacle}, and there is no room for new replicas beside the old ones"


def why_not_in_place(before: Revised | None, after: Revised | None) -> str | None:
    """The first thing that forbids it, in words."""
    if before is None or after is None:
        return "the files of a revision are not in the library"
    setting = _first_difference(_settings(before), _settings(after))
    if setting is not None:
        return f"config.json differs ({setting})"
    file = _first_difference(_files(before), _files(after))
    return None if file is None else f"{file} differs"


def has_spare(deployment: Deployment, nodes: Iterable[ObservedNode]) -> bool:
    """Whether every replica could start once more without one having to end."""
    room = sum(_times(deployment, node) for node in nodes if node.alive)
    return room >= deployment.replicas


def _times(deployment: Deployment, node: ObservedNode) -> int:
    if deployment.gpus_per_replica:
        return int(node.gpus_free / deployment.gpus_per_replica + 1e-9)
    return int(node.cpus_free / max(1e-9, deployment.cpus_per_replica))


def _settings(revised: Revised) -> dict[str, Any]:
    return {name: value for name, value in revised.config.items() if name not in _IGNORED_SETTINGS}


def _files(revised: Revised) -> dict[str, str]:
    return {
        file.path: file.sha256
        for file in revised.manifest.files
        if file.path != "config.json"
        and not file.path.endswith(_WEIGHTS)
        and not file.path.rpartition("/")[2].upper().startswith(_IGNORED_NAMES)
    }


def _first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    absent = object()
    return next((name for name in sorted({*one, *other}) if one.get(name, absent) != other.get(name, absent)), None)
