"""What is said to differ between two revisions, by tables and for settings of any shape."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.library.comparison import (
    LARGEST_READ_BYTES,
    LONGEST_LINE,
    LONGEST_VALUE,
    MOST_LINES,
    MOST_SETTINGS,
    Comparison,
    FileChange,
    SettingChange,
    WeightsChange,
    compare,
    to_read,
)
from replicas.weights.manifest import Manifest, ManifestFile, manifest_of

Files = Mapping[str, bytes]
SAME_WEIGHTS = WeightsChange(same_files=0, before_files=0, before_bytes=0, after_files=0, after_bytes=0)


def manifest(files: Files) -> Manifest:
    return manifest_of(ManifestFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


def difference(before: Files, after: Files) -> Comparison:
    """As the library finds it: only what is wanted is read."""
    older, newer = manifest(before), manifest(after)
    return compare(older, newer, {path: (before[path], after[path]) for path in to_read(older, newer)})


def changes(before: object, after: object, path: str = "config.json") -> list[tuple[str, str | None, str | None]]:
    found = difference({path: json.dumps(before).encode()}, {path: json.dumps(after).encode()})
    return [(each.key, each.before, each.after) for file in found.settings for each in file.changes]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", "1", "2")]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"a": 1}, {"a": 1.0}, [("a", "1", "1.0")]),
        ({"a": None}, {}, [("a", "null", None)]),
        ({}, {"a": ""}, [("a", None, '""')]),
        ({"rope": {"type": "yarn", "factor": 4}}, {"rope": {"type": "yarn", "factor": 8}}, [("rope.factor", "4", "8")]),
        ({"eos": [1, 2]}, {"eos": [1, 3]}, [("eos", "[1, 2]", "[1, 3]")]),
        ({"list": [{"a": 1}, 5]}, {"list": [{"a": 2}, 5]}, [("list[0].a", "1", "2")]),
        ({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 1}}, [('["a.b"]', "1", "2")]),
        ({"x": {}}, {"x": {"y": 1}}, [("x", "{}", None), ("x.y", None, "1")]),
        ({"a": "模型"}, {"a": "型"}, [("a", '"模型"', '"型"')]),
    ],
)
def test_settings_that_differ_are_told_by_their_keys(
    before: object, after: object, expected: list[tuple[str, str | None, str | None]]
) -> None:
    assert changes(before, after) == expected


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.text(max_size=3), _values, max_size=4)


@given(_objects, _objects)
def test_settings_are_told_to_differ_exactly_if_they_do(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = changes(before, after)
    assert bool(found) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    assert all(old != new for _, old, new in found)
    assert sorted((key, new, old) for key, old, new in found) == sorted(changes(after, before))


@given(st.integers(0, 400), st.text(max_size=400), st.text(max_size=400))
def test_long_values_are_short_and_show_where_they_differ(shared: int, old: str, new: str) -> None:
    for _, before, after in changes({"a": "x" * shared + old}, {"a": "x" * shared + new}):
        assert before is not None
        assert after is not None
        assert before != after
        assert max(len(before), len(after)) <= LONGEST_VALUE + 2


def test_half_of_a_surrogate_pair_in_a_setting_can_be_sent_on() -> None:
    found = difference({"config.json": b'{"\\ud800": 1}'}, {"config.json": b'{"\\ud800": "\\udc00"}'})
    (change,) = found.settings[0].changes
    assert change == SettingChange('["\\ud800"]', "1", '"\\udc00"')
    str(change).encode()


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (b"a\nb\nc\n", b"a\nB\nc\n", ("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c")),
        (b"", b"new", ("@@ -0,0 +1 @@", "+new")),
    ],
)
def test_texts_are_told_by_their_lines(before: bytes, after: bytes, lines: tuple[str, ...]) -> None:
    (text,) = difference({"chat_template.jinja": before}, {"chat_template.jinja": after}).texts
    assert (text.path, text.lines, text.more) == ("chat_template.jinja", lines, 0)


@pytest.mark.parametrize(
    "broken", [b"{", b"[1]", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a":' * 40 + b"1" + b"}" * 40, b'{ "a":1}']
)
def test_json_that_is_no_plain_object_or_differs_in_its_form_alone_is_told_by_its_lines(broken: bytes) -> None:
    found = difference({"config.json": b'{"a":1}'}, {"config.json": broken})
    assert (found.settings, found.files) == ((), ())
    assert found.texts[0].lines[1:] == ('-{"a":1}', f"+{broken.decode()}")


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("tokenizer.model", b"\0a", b"\0bc"),
        ("README.md", b"\xff", b"\xfe\xfe"),
        ("config.json", b"\xff", b"\xfe\xfe"),
        ("README.md", b"a\n", b"a\r\n"),
        ("tokenizer.json", b"{}", b'{"a": "' + b"x" * LARGEST_READ_BYTES + b'"}'),
        ("merges.txt", b"a b\n", b"a b\n" * 5000),
        ("something.else", b"a", b"b"),
    ],
)
def test_files_that_people_do_not_read_are_told_by_their_sizes(path: str, before: bytes, after: bytes) -> None:
    found = difference({path: before}, {path: after})
    assert (found.settings, found.texts) == ((), ())
    assert found.files == (FileChange(path, len(before), len(after)),)
    assert not found.equal


def test_files_that_came_or_went_are_told_with_their_sizes() -> None:
    found = difference({"old.json": b"{}", "LICENSE": b"MIT"}, {"new.jinja": b"hello", "LICENSE": b"MIT"})
    assert found.files == (FileChange("new.jinja", None, 5), FileChange("old.json", 2, None))
    assert (found.weights, found.equal) == (SAME_WEIGHTS, False)


def test_weights_are_compared_by_their_content() -> None:
    before = {"a.safetensors": b"one", "b.safetensors": b"two", "config.json": b"{}"}
    after = {"z.safetensors": b"one", "b.safetensors": b"three!", "c.safetensors": b"4", "config.json": b"{}"}
    found = difference(before, after)
    assert found.weights == WeightsChange(same_files=1, before_files=1, before_bytes=3, after_files=2, after_bytes=7)
    assert (found.settings, found.texts, found.files, found.equal) == ((), (), (), False)


@given(st.dictionaries(st.sampled_from(["config.json", "a.safetensors", "README.md", "x"]), st.binary(max_size=4)))
def test_revision_does_not_differ_from_itself(files: dict[str, bytes]) -> None:
    found = difference(files, files)
    assert found.equal
    assert to_read(manifest(files), manifest(files)) == ()
    assert (found.settings, found.texts, found.files) == ((), (), ())


def test_many_differences_are_told_in_part_and_counted() -> None:
    many = {f"k{number}": number for number in range(MOST_SETTINGS + 7)}
    (settings,) = difference({"config.json": b"{}"}, {"config.json": json.dumps(many).encode()}).settings
    assert (len(settings.changes), settings.more) == (MOST_SETTINGS, 7)
    lines = b"\n".join(b"%d" % number for number in range(MOST_LINES + 6))
    (text,) = difference({"README.md": b""}, {"README.md": lines}).texts
    assert (len(text.lines), text.more) == (MOST_LINES, 7)  # with the line that says where
    (text,) = difference({"README.md": b"a"}, {"README.md": b"x" * 9000}).texts
    assert max(map(len, text.lines)) == LONGEST_LINE + 1
