"""What hubs tell of models that are searched for, and which of them can be served here. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from orchestrator.library.sources import Source, SourceKind, is_hub_id
from orchestrator.types import Model, ModelState

MOST = 20
"""Models that a search finds."""
ASKED = 50
"""Models that a hub is asked for, so that some are left when those that cannot be served are taken out."""

_TASKS = frozenset({"text-generation", "image-text-to-text"})
_NOT_WHOLE = frozenset({"peft", "lora", "adapter"})
_OTHER_LIBRARIES = frozenset({"mlx", "diffusers", "onnx", "openvino"})


class HubModel(Struct, frozen=True, kw_only=True):
    """One of a search's results. What the hub does not tell is empty or None."""

    id: str
    """OWNER/NAME."""
    task: str = ""
    parameters: int | None = None
    licence: str = ""
    downloads: int | None = None
    """As the hub counts them: some do by the month, some in all."""
    likes: int | None = None
    updated_at: float | None = None
    """Unix seconds."""
    gated: bool = False
    """Who wants the weights must have agreed to something on the hub's page, and needs a token."""


def may_be_served(id_: str, tasks: Iterable[str], tags: Iterable[str]) -> bool:
    """As far as the hub tells: whole safetensors of a model that writes text."""
    told, names = set(tasks), {tag.lower().removeprefix("library:") for tag in tags}
    packed = "gguf" in names or id_.lower().endswith("-gguf")
    return (
        is_hub_id(id_)
        and (not told or bool(told & _TASKS))
        and not names & (_NOT_WHOLE | _OTHER_LIBRARIES)
        and not (packed and "safetensors" not in names)
    )


def licence_of(tags: Iterable[str]) -> str:
    """Hubs tell it as a tag, `license:NAME`."""
    return next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")


def known_as(models: Iterable[Model], kind: SourceKind, id_: str) -> str:
    """Name of the model in the library whose weights are from there, whatever their commit; empty if there is none."""
    place = Source(kind, id_, id_)
    for model in models:
        if any(each.state is ModelState.READY and place.gave(each.source) for each in model.revisions):
            return model.name
    return ""
