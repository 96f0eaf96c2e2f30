"""How weights can be changed, from what the two revisions consist of. PURE."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.placement import gpus_for, place, take
from orchestrator.rooms import free_rooms
from orchestrator.sentences import Saying, Sentence, say
from orchestrator.swap_types import SwapStrategy
from orchestrator.types import Deployment, DesiredState, ObservedState
from replicas.weights.manifest import Manifest

_IGNORED_NAMES = ("README", "LICENSE", "LICENCE", "NOTICE")
_IGNORED_SETTINGS = ("_name_or_path", "transformers_version")
_WEIGHTS = (".safetensors", ".safetensors.index.json")


class Revised(Struct, frozen=True):
    """What a strategy depends on of one revision."""

    manifest: Manifest
    config: Mapping[str, Any]
    """Of `config.json`."""


def choose_strategy(before: Revised | None, after: Revised | None, *, spare: bool) -> tuple[SwapStrategy, Sentence]:
    """The strategy, and why. None: nothing is known of that revision.

    In place means: other numbers in the same tensors. What an engine reads once at its start - the configuration, the
    tokenizer, the chat template, defaults of generation - must be the same. `spare`: all replicas have room a second
    time.
    """
    obstacle = why_not_in_place(before, after)
    if obstacle is None:
        return SwapStrategy.IN_PLACE, say(Saying.SAME_BUT_NUMBERS)
    if spare:
        return SwapStrategy.SURGE, say(Saying.ROOM_BESIDE, why=obstacle)
    return SwapStrategy.RESTART, say(Saying.NO_ROOM_BESIDE, why=obstacle)


def choose_for_canary(
    before: Revised | None, after: Revised | None, *, replicas: int, spare: bool
) -> tuple[SwapStrategy | None, Sentence]:
    """The same where both revisions shall serve side by side for a while. No strategy: it cannot be, and why."""
    if not replicas:
        return None, say(Saying.NO_REPLICA)
    obstacle = why_not_in_place(before, after)
    if obstacle is None and replicas > 1:
        return SwapStrategy.IN_PLACE, say(Saying.SAME_BUT_NUMBERS)
    obstacle = obstacle or say(Saying.ONE_REPLICA)
    if spare:
        return SwapStrategy.SURGE, say(Saying.ROOM_BESIDE, why=obstacle)
    return None, say(Saying.NO_ROOM_FOR_CANARY, why=obstacle)


def why_not_in_place(before: Revised | None, after: Revised | None) -> Sentence | None:
    """The first thing that forbids it."""
    if before is None or after is None:
        return say(Saying.FILES_UNKNOWN)
    setting = _first_difference(_settings(before), _settings(after))
    if setting is not None:
        return say(Saying.CONFIG_DIFFERS, setting=setting)
    file = _first_difference(_files(before), _files(after))
    return None if file is None else say(Saying.FILE_DIFFERS, file=file)


def has_spare(deployment: Deployment, observed: ObservedState, closed: frozenset[str]) -> bool:
    """Whether every replica could start once more without one having to end. `closed`: nodes that take nothing new."""
    rooms = free_rooms(deployment, DesiredState(deployments={}, cordoned_nodes=closed), observed)
    for _ in range(deployment.replicas):
        room = place(deployment.need, tuple(rooms.values()), deployment.placement)
        if room is None:
            return False
        rooms[room.address] = take(room, deployment.need, gpus_for(deployment.need, room) or ())
    return True


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
