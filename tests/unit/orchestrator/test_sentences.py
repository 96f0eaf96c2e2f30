"""What people are told, in English and in the pages' other language."""

import json
import re
from pathlib import Path
from string import Formatter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.sentence_schemas import SentenceView, sentences
from orchestrator.errors import ConflictError
from orchestrator.sentences import Saying, Sentence, Value, heard, say
from replicas.doing import Doing

ROOT = Path(__file__).parents[3]
ENGLISH: dict[str, str] = json.loads((ROOT / "orchestrator" / "sentences.en.json").read_text())
CHINESE: dict[str, str] = json.loads((ROOT / "admin_ui" / "src" / "i18n" / "sentences.zh.json").read_text())


def figures(saying: Saying) -> set[str]:
    """What its English asks for."""
    return {name for _, name, _, _ in Formatter().parse(saying.english) if name}


@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_every_code_has_words_and_no_words_are_without_a_code(words: dict[str, str]) -> None:
    assert words.keys() == {saying.value for saying in Saying}


@pytest.mark.parametrize("saying", Saying)
def test_chinese_words_ask_for_the_same_as_the_english_ones(saying: Saying) -> None:
    words = CHINESE[saying]
    assert set(re.findall(r"\{\{(\w+)\}\}", words)) == figures(saying)
    assert re.search("[一-鿿]", words) or not re.search("[a-z]", re.sub(r"\{\{\w+\}\}", "", words)), words


@pytest.mark.parametrize(
    ("sentence", "english"),
    [
        (say(Saying.REPLICAS_READY, ready=1, wanted=12_000), "1 of 12,000 replicas ready"),
        (say(Saying.NEEDS_GPU, needed=0.5, free="0.25"), "a replica needs 0.5 GPU; free: 0.25"),
        (say(Saying.NOT_STARTED, time_s=1800.0), "they did not start within 30 min"),
        (say(Saying.NOT_SERVABLE, why=heard("No memory.")), "The new weights cannot be served: No memory."),
        (say(Saying.REPLICA_SAYS, said="{why} {0.__class__}"), "{why} {0.__class__}"),
        (heard("Loading vLLM"), "Loading vLLM"),
        (heard("CUDA error: out of memory."), "CUDA error: out of memory."),
        (heard("Fetching the weights: 1.0 / 2.0 GiB"), "Fetching the weights: 1.0 / 2.0 GiB"),
    ],
)
def test_sentence_in_english_has_its_values_and_no_stop_within(sentence: Sentence, english: str) -> None:
    assert str(sentence) == english


@pytest.mark.parametrize("doing", Doing)
def test_what_a_replica_says_that_it_does_is_known(doing: Doing) -> None:
    assert heard(doing).code.english == doing
    so_far = heard(f"{doing}: 1 / 2")
    assert (so_far.code, so_far.values) == (Saying.SO_FAR, {"doing": heard(doing), "amount": "1 / 2"})


@given(st.text())
def test_what_a_replica_says_is_kept_word_for_word(text: str) -> None:
    assert str(heard(text)) == text


def of_any(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Sentence]:
    values = st.dictionaries(st.sampled_from(["why", "time_s", "name"]), inner, max_size=3)
    return st.builds(Sentence, st.sampled_from(Saying), values)


SENTENCES = of_any(st.recursive(st.text() | st.integers(0, 9**9) | st.floats(0, 9e9), of_any, max_leaves=4))


@given(SENTENCES)
def test_sentence_comes_back_from_the_store_as_it_was(sentence: Sentence) -> None:
    assert msgspec.json.decode(msgspec.json.encode(sentence), type=Sentence) == sentence


@given(SENTENCES)
def test_view_of_a_sentence_has_its_code_and_all_its_values(sentence: Sentence) -> None:
    shown = SentenceView.of(sentence).model_dump(mode="json")
    assert shown == json.loads(msgspec.json.encode(sentence))


def test_view_names_the_fields_that_say_something() -> None:
    assert sentences(reason=say(Saying.STOPPED), detail=None).keys() == {"reason"}


def test_error_says_its_sentence_in_english_and_keeps_it() -> None:
    sentence = say(Saying.NOT_DEPLOYED, name="chat")
    error = ConflictError(sentence, code="gone")
    assert (error.message, error.sentence, error.code) == (str(sentence), sentence, "gone")
    assert ConflictError("It is so.").sentence == say(Saying.TEXT, said="It is so.")
