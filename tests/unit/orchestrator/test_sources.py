from pathlib import Path

import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.library.sources import SourceKind, parse_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "kind", "id_", "revision", "file", "name"),
    [
        ("Qwen/Qwen3-8B@main", SourceKind.ANY_HUB, "Qwen/Qwen3-8B", "main", "", "Qwen3-8B"),
        (f"hf:Qwen/Qwen3-8B@{COMMIT}", SourceKind.HUGGING_FACE, "Qwen/Qwen3-8B", COMMIT, "", "Qwen3-8B"),
        ("hf:a/b@refs/pr/12", SourceKind.HUGGING_FACE, "a/b", "refs/pr/12", "", "b"),
        ("modelscope:a/b@v1.0.2+x", SourceKind.MODELSCOPE, "a/b", "v1.0.2+x", "", "b"),
        ("hf:a/b-GGUF#q/b.Q8_0.gguf", SourceKind.HUGGING_FACE, "a/b-GGUF", "", "q/b.Q8_0.gguf", "b-GGUF"),
        ("a/b@v1#b.gguf", SourceKind.ANY_HUB, "a/b", "v1", "b.gguf", "b"),
        ("s3://bucket", SourceKind.S3, "bucket", "", "", "bucket"),
        ("s3://bucket/teams/a model/v#1@2", SourceKind.S3, "bucket/teams/a model/v#1@2", "", "", "v-1-2"),
        (f"s3://bucket/a/b@{DIGEST}", SourceKind.S3, "bucket/a/b", DIGEST, "", "b"),
        (f"s3://bucket/a/b@{DIGEST}#c.gguf", SourceKind.S3, "bucket/a/b", DIGEST, "c.gguf", "b"),
        ("s3://bucket/a/b/c.gguf", SourceKind.S3, "bucket/a/b", "", "c.gguf", "b"),
        ("s3://bucket/c.gguf", SourceKind.S3, "bucket", "", "c.gguf", "bucket"),
    ],
)
def test_parse_source_reads_revision_and_file_and_writes_them_again(
    text: str, kind: SourceKind, id_: str, revision: str, file: str, name: str
) -> None:
    source = parse_source(text)
    assert (source.kind, source.id, source.revision, source.file) == (kind, id_, revision, file)
    assert source.name == name
    assert parse_source(source.text) == source


@pytest.mark.parametrize("text", ["s3://bucket/a/", "s3://bucket/a"])
def test_parse_source_of_a_prefix_needs_no_slash_at_its_end(text: str) -> None:
    assert parse_source(text).text == "s3://bucket/a"


@pytest.mark.parametrize(
    "text",
    [
        "a/b@", "a/b@-x", "a/b@x y", "a/b@../c", "a/b@x..y", "a/b@/x", "a/b@x//y", "a/b@" + "x" * 300, "hf:a@b",
        "hf:a/b@sha256:xyz", "a/b#", "a/b#c.bin", "a/b#../c.gguf", "a/b#/c.gguf", "hf:a/b@main#",
        "s3://", "s3:///key", "s3://b", "s3://-bucket/a", "s3://buc ket/a", "s3://bucket//a", "s3://bucket/a//b",
        "s3://bucket/../a", "s3://bucket/a/./b", "s3://bucket/a\nb", "s3://bucket/" + "k" * 1025,
        "s3://bucket/a#../x.gguf",
    ],
)  # fmt: skip
def test_parse_source_of_a_source_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_source(text)


def test_parse_source_of_a_gguf_file_is_absolute_and_named_after_it(tmp_path: Path) -> None:
    file = tmp_path / "my model.Q8_0.gguf"
    file.touch()
    source = parse_source(str(file))
    assert (source.kind, source.id, source.name) == (SourceKind.GGUF, str(file), "my-model.Q8_0")
    assert parse_source(source.text) == source


def test_parse_source_of_another_file_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InvalidRequestError, match="Give the folder"):
        parse_source(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("text", "commit", "pinned"),
    [
        ("hf:a/b", COMMIT, f"hf:a/b@{COMMIT}"),
        ("hf:a/b@main#c.gguf", COMMIT, f"hf:a/b@{COMMIT}#c.gguf"),
        ("s3://bucket/a", DIGEST, f"s3://bucket/a@{DIGEST}"),
        ("builtin:smollm2", COMMIT, "builtin:smollm2"),
    ],
)
def test_pinned_source_names_the_commit(text: str, commit: str, pinned: str) -> None:
    assert parse_source(text).pinned(commit) == pinned
    assert parse_source(pinned).text == pinned
