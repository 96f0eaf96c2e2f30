import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ModelRejectedError
from orchestrator.library.hub import modelscope_commit
from orchestrator.library.listing import Listing, RemoteFile, choose, digest, refuse_split
from orchestrator.library.verification.paths import path_fault

WHERE = "hf:a/b"


def files(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, 10) for path in paths]


def chosen(*paths: str, file: str = "") -> set[str]:
    return {each.path for each in choose(files(*paths), file, WHERE)}


def test_choose_takes_what_an_engine_needs_and_no_code_no_pickle_no_gguf() -> None:
    needed = {"config.json", "a.safetensors", "tokenizer.model", "LICENSE", "README.md", "chat_template.jinja"}
    assert chosen(*needed, "a.bin", "a.py", "a.gguf", "original/a.safetensors", "onnx/a.json", "x.png") == needed


def test_choose_takes_the_only_gguf_file_alone_where_there_are_no_safetensors() -> None:
    assert chosen("config.json", "q/a.gguf", "README.md") == {"q/a.gguf"}


def test_choose_takes_the_gguf_file_that_was_picked_also_beside_safetensors() -> None:
    assert chosen("a.safetensors", "a.gguf", "b.gguf", file="b.gguf") == {"b.gguf"}


@pytest.mark.parametrize(
    ("paths", "file", "reason"),
    [
        (("config.json", "a.bin"), "", "hf:a/b has no safetensors weights, and no GGUF file either"),
        (
            ("a.Q4_0.gguf", "a.Q6_K.gguf"),
            "",
            r"Pick one of them, as in hf:a/b#a\.Q6_K\.gguf.*They are a\.Q4_0\.gguf, a",
        ),
        (tuple(f"{n}.gguf" for n in range(20)), "", "and 8 more"),
        (("a.gguf",), "b.gguf", r"has no file b\.gguf\. It has a\.gguf"),
        (("a-00001-of-00003.gguf", "a-00002-of-00003.gguf", "a-00003-of-00003.gguf"), "", "one of 3 parts.*--merge"),
        (("a-00001-of-00002.gguf", "b.gguf"), "a-00001-of-00002.gguf", "one of 2 parts"),
        (("../evil.json", "a.safetensors"), "", r"'\.\./evil\.json' in hf:a/b contains a part"),
        (("a//b.json", "a.safetensors"), "", "has an empty part"),
        (("/etc/x.json", "a.safetensors"), "", "is not relative"),
        (("C:\\x.json", "a.safetensors"), "", "is not relative"),
        (("x\\y.json", "a.safetensors"), "", "contains a backslash"),
        (("x\0.json", "a.safetensors"), "", "control character"),
        (("a/" * 9 + "x.json", "a.safetensors"), "", "nested more than"),
        (("x" * 300 + ".json", "a.safetensors"), "", "longer than 255 bytes"),
        (("../a.gguf",), "", "contains a part"),
        (("CONFIG.json", "config.json", "a.safetensors"), "", "differ only in case"),
    ],
)
def test_choose_refuses_with_the_reason(paths: tuple[str, ...], file: str, reason: str) -> None:
    with pytest.raises(ModelRejectedError, match=reason):
        choose(files(*paths), file, WHERE)


def test_choose_does_not_mind_odd_names_of_what_is_not_fetched() -> None:
    assert chosen("a.safetensors", "../evil.bin", "a//b.png") == {"a.safetensors"}


@given(st.lists(st.text(max_size=30).map(lambda text: text + ".json"), unique=True))
def test_choose_lets_no_path_through_that_is_not_safe(paths: list[str]) -> None:
    try:
        found = choose(files("a.safetensors", *paths), "", WHERE)
    except ModelRejectedError:
        return
    assert all(path_fault(each.path) is None for each in found)


def test_refuse_split_takes_a_file_that_was_split_into_one() -> None:
    refuse_split("a-00001-of-00001.gguf")


def test_digest_changes_with_key_size_and_etag_and_not_with_order() -> None:
    one, other = RemoteFile("a", 1, "x"), RemoteFile("b", 1, "x")
    assert digest([one, other]) == digest([other, one])
    assert len({digest([each]) for each in (one, other, RemoteFile("a", 2, "x"), RemoteFile("a", 1, "y"))}) == 4


def test_listing_counts_weights_of_both_kinds() -> None:
    assert Listing(commit="", files=tuple(files("a.safetensors", "b.json", "c.gguf"))).weights_bytes == 20


def test_modelscope_commit_is_the_newest_that_changed_a_file() -> None:
    old, new = {"Revision": "a" * 40, "CommittedDate": 1}, {"Revision": "b" * 40, "CommittedDate": 2}
    assert modelscope_commit([old, new, old]) == "b" * 40


@pytest.mark.parametrize("entries", [[], [{"Path": "a"}], [{"Revision": "master", "CommittedDate": 1}]])
def test_modelscope_commit_is_empty_where_none_is_told(entries: list[dict[str, object]]) -> None:
    assert modelscope_commit(entries) == ""
