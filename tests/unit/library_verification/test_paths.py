from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.verification.paths import duplicate, path_fault


@pytest.mark.parametrize(
    "path",
    [
        "config.json", "model-00001-of-00163.safetensors", "1_Pooling/config.json", "LICENSE", "README.md",
        "使用说明.md", "说明 2.txt", "モデル.txt", "café.txt", "данные.txt",
        "a/b/c/d/e/f/g/h.txt", "..a.txt", "a..b", "con1.txt",
        "x" * 255, "100%.txt",
    ],
)  # fmt: skip
def test_path_fault_is_none_when_path_is_ordinary(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "is empty"), ("/etc/passwd", "not relative"), ("~/x", "not relative"), ("c:/x", "not relative"),
        ("../x", "'..'"), ("a/../x", "'..'"), ("a/..", "'..'"), ("./x", "'.'"), ("a//b", "empty"), ("a/", "empty"),
        ("a\\b", "backslash"), ("a\0b", "U+0000"), ("a\x7fb", "U+007F"), ("a\u202eb", "U+202E"), ("\ufeffa", "U+FEFF"),
        ("a\ud800", "not UTF-8"), ("a\u2028b", "U+2028"), ("a\u3000b", "U+3000"), ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"), ("/".join(["x" * 200] * 6), "1024 bytes"), ("a/b/c/d/e/f/g/h/i", "8 deep"),
        ("a ", "space"), (" a", "space"), ("a.", "dot"), ("nul", "Windows"),
        ("a/LPT1.txt", "Windows"), ("CON.a", "Windows"),
        ("%2e%2e/x", "percent"), ("a%2Fb", "percent"), ("e\u0301", "NFC"), ("ａ", "look like"), ("\ufb01", "look like"),
        ("pаss", "Cyrillic and Latin"), ("αb", "Greek and Latin"), ("ab:c", "':'"), ("a|b", "'|'"),
    ],
)  # fmt: skip
def test_path_fault_says_what_is_wrong_when_path_is_hostile(path: str, said: str) -> None:
    assert said in (path_fault(path) or "nothing")


@given(st.text(st.characters(codec=None), max_size=60) | st.text("./\\~:%a2eé ", max_size=30))
def test_path_fault_lets_pass_only_what_stays_inside_whatever_the_text(path: str) -> None:
    if path_fault(path) is None:
        parts = PurePosixPath(path).parts
        assert "/".join(parts) == path
        assert parts
        assert not {"..", ".", "/"} & set(parts)
        assert path.isprintable()
        assert path.encode()


def test_duplicate_finds_the_first_pair_when_names_differ_in_case() -> None:
    assert duplicate(["a", "b/c", "B/c"]) == ("b/c", "B/c")
    assert duplicate(["straße", "STRASSE"]) == ("straße", "STRASSE")
    assert duplicate(["a", "b", "ab"]) is None
