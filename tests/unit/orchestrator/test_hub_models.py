"""Which models of a hub are offered, and which the library has already."""

import pytest

from orchestrator.library.hub_models import known_as, licence_of, may_be_served
from orchestrator.library.sources import SourceKind
from orchestrator.types import Model, ModelState, Revision

SAFE = ("safetensors",)


@pytest.mark.parametrize(
    ("id_", "tasks", "tags", "offered"),
    [
        ("Qwen/Qwen3-0.6B", ("text-generation",), SAFE, True),
        ("Qwen/Qwen3-VL", ("image-text-to-text",), SAFE, True),
        ("owner/untold", (), (), True),
        ("owner/many", ("text-classification", "text-generation"), SAFE, True),
        ("owner/pictures", ("text-to-image",), SAFE, False),
        ("owner/adapter", ("text-generation",), ("safetensors", "peft"), False),
        ("owner/apple", ("text-generation",), ("safetensors", "library:MLX"), False),
        ("owner/packed", ("text-generation",), ("gguf",), False),
        ("owner/packed-GGUF", ("text-generation",), (), False),
        ("owner/both", ("text-generation",), ("gguf", "safetensors"), True),
        ("gpt2", ("text-generation",), SAFE, False),
        ("<img src=x>/model", ("text-generation",), SAFE, False),
        ("../..", (), SAFE, False),
    ],
)
def test_model_is_offered_if_the_hub_tells_nothing_against_it(
    id_: str, tasks: tuple[str, ...], tags: tuple[str, ...], offered: bool
) -> None:
    assert may_be_served(id_, tasks, tags) is offered


def test_licence_is_a_tag() -> None:
    assert licence_of(["en", "license:apache-2.0"]) == "apache-2.0"
    assert licence_of(["en"]) == ""


def model(name: str, *sources: tuple[str, ModelState]) -> Model:
    revisions = tuple(
        Revision(digest=str(number), arrival="", source=source, state=state, created_at=0)
        for number, (source, state) in enumerate(sources)
    )
    return Model(name=name, created_at=0, revisions=revisions)


@pytest.mark.parametrize(
    ("source", "state", "known"),
    [
        ("hf:owner/tiny@0123", ModelState.READY, "mine"),
        ("hf:owner/tiny", ModelState.READY, "mine"),
        ("hf:owner/tiny@0123", ModelState.REJECTED, ""),
        ("modelscope:owner/tiny@0123", ModelState.READY, ""),
        ("hf:owner/tiny-two@0123", ModelState.READY, ""),
        ("upload", ModelState.READY, ""),
    ],
)
def test_model_is_known_by_any_ready_revision_from_there(source: str, state: ModelState, known: str) -> None:
    models = [model("other", ("upload", ModelState.READY)), model("mine", (source, state))]
    assert known_as(models, SourceKind.HUGGING_FACE, "owner/tiny") == known
