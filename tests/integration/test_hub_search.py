"""Real hub clients against a hub-shaped server: what a search finds, and what it says when it fails."""

from pathlib import Path

import pytest

from orchestrator.errors import SourceUnavailableError
from orchestrator.library.hub_models import MOST, HubModel
from orchestrator.library.search import search
from orchestrator.library.sources import SourceKind
from tests.integration.hub_server import Hub, Listed, running_hub

HUBS = (SourceKind.HUGGING_FACE, SourceKind.MODELSCOPE)
QWEN = Listed("Qwen/Qwen3-0.6B", parameters=600, downloads=5, likes=2, gated=True)
CATALOGUE = (
    QWEN,
    Listed("Qwen/Qwen3-8B", downloads=9),
    Listed("Qwen/Qwen3-Image", task="text-to-image"),
    Listed("someone/Qwen3-GGUF", tags=("gguf",)),
    Listed("someone/Qwen3-lora", tags=("safetensors", "peft")),
    Listed("someone/untold-Qwen3", task="", downloads=1),
    Listed("someone/Qwen3-unsafe", tags=("pytorch",)),
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    point_at(None, monkeypatch)


def point_at(hub: Hub | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
        monkeypatch.setenv(name, hub.url if hub else "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        (SourceKind.HUGGING_FACE, ["Qwen/Qwen3-8B", "Qwen/Qwen3-0.6B", "someone/untold-Qwen3"]),
        # It cannot be asked for safetensors alone.
        (
            SourceKind.MODELSCOPE,
            ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B", "someone/untold-Qwen3", "someone/Qwen3-unsafe"],
        ),
    ],
)
async def test_search_finds_what_can_be_served_in_the_order_of_the_hub(
    kind: SourceKind, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub({}, catalogue=CATALOGUE) as hub:
        point_at(hub, monkeypatch)
        found = await search(kind, "qwen3")
        assert await search(kind, "nothing of that name") == ()
    assert [each.id for each in found] == ids
    told = HubModel(
        id=QWEN.id,
        task="text-generation",
        parameters=600 if kind is SourceKind.HUGGING_FACE else None,
        licence="apache-2.0",
        downloads=5,
        likes=2,
        updated_at=1777636800.0,
        gated=True,
    )
    assert told in found
    assert hub.searched == ["qwen3", "nothing of that name"]


@pytest.mark.parametrize("kind", HUBS)
async def test_search_finds_no_more_than_people_look_through(kind: SourceKind, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub({}, catalogue=tuple(Listed(f"owner/m{number}") for number in range(70))) as hub:
        point_at(hub, monkeypatch)
        assert len(await search(kind, "owner")) == MOST


@pytest.mark.parametrize("kind", HUBS)
@pytest.mark.parametrize("words", ["-h", "--", "a b/c?d&search=e#f", "模型"])
async def test_search_sends_words_as_they_are(kind: SourceKind, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub({}) as hub:
        point_at(hub, monkeypatch)
        await search(kind, words)
    assert hub.searched == [words]


@pytest.mark.parametrize(("kind", "mirror"), [(HUBS[0], "HF_ENDPOINT"), (HUBS[1], "MODELSCOPE_ENDPOINT")])
async def test_search_without_a_network_says_so_at_once_and_names_the_ways_out(kind: SourceKind, mirror: str) -> None:
    with pytest.raises(SourceUnavailableError, match=rf"refused.*{mirror}.*upload the weights"):
        await search(kind, "qwen3", within_s=60)


@pytest.mark.parametrize("kind", HUBS)
async def test_search_of_a_hub_that_never_answers_ends_in_time(
    kind: SourceKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub({}) as hub:
        hub.answers.clear()
        point_at(hub, monkeypatch)
        with pytest.raises(SourceUnavailableError, match=r"no answer within 0.2 s"):
            await search(kind, "qwen3", within_s=0.2)


@pytest.mark.parametrize("kind", HUBS)
@pytest.mark.parametrize(("status", "words"), [(401, "refuses the search"), (500, "cannot be reached")])
async def test_search_that_the_hub_does_not_answer_gives_its_reason(
    kind: SourceKind, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub({}) as hub:
        hub.search_status = status
        point_at(hub, monkeypatch)
        with pytest.raises(SourceUnavailableError, match=words) as failed:
            await search(kind, "qwen3", within_s=60)
    assert "http://" not in failed.value.message
    assert len(hub.searched) == 1
