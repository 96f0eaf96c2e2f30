import json
from pathlib import Path

import pytest

from orchestrator.errors import InvalidRequestError, ModelRejectedError
from orchestrator.library.adopt import hash_folder
from orchestrator.library.fit import GIB, Device, estimate
from orchestrator.library.folder import examine
from orchestrator.library.manifest import digest
from orchestrator.library.sources import SourceKind, parse_source

CONFIG = {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16", "max_position_embeddings": 2048}


def model_folder(path: Path, config: object = CONFIG, **files: bytes) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    for name, content in (files or {"model.safetensors": b"x" * 64}).items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("text", "kind", "id_", "name"),
    [
        ("builtin:smollm2", SourceKind.BUILTIN, "smollm2", "SmolLM2-135M-Instruct"),
        ("openai/gpt-oss-20b", SourceKind.ANY_HUB, "openai/gpt-oss-20b", "gpt-oss-20b"),
        ("hf:Qwen/Qwen3-8B-AWQ", SourceKind.HUGGING_FACE, "Qwen/Qwen3-8B-AWQ", "Qwen3-8B-AWQ"),
        ("modelscope:Qwen/Qwen3-8B", SourceKind.MODELSCOPE, "Qwen/Qwen3-8B", "Qwen3-8B"),
    ],
)
def test_parse_source_of_a_hub_id_tells_hub_and_name(text: str, kind: SourceKind, id_: str, name: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.id, source.name) == (kind, id_, name)
    assert parse_source(source.text) == source


def test_parse_source_of_a_folder_is_absolute_and_named_after_it(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "my model")
    source = parse_source(str(folder))
    assert (source.kind, source.id, source.name) == (SourceKind.FOLDER, str(folder), "my-model")


@pytest.mark.parametrize("text", ["", "gpt", "/no/such/folder", "./nope", "a/b/c", "hf:../../etc", "hf:x/..", "-a/b"])
def test_parse_source_of_nonsense_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"folder|OWNER/NAME"):
        parse_source(text)


def test_examine_of_a_whole_folder_tells_what_the_fit_needs(tmp_path: Path) -> None:
    facts = examine(model_folder(tmp_path / "m"))
    assert facts.architecture == "LlamaForCausalLM"
    assert (facts.max_model_len, facts.weights_bytes, facts.dtype_bytes) == (2048, 64, 2.0)


@pytest.mark.parametrize(
    ("config", "files", "reason"),
    [
        (CONFIG, {"pytorch_model.bin": b"x"}, "pytorch_model.bin is a pickle"),
        (CONFIG, {"readme.txt": b"x"}, "no weights"),
        (CONFIG, {"model.safetensors": b""}, "model.safetensors is empty"),
        ({}, {"model.safetensors": b"x" * 9}, "no architecture"),
        ([], {"model.safetensors": b"x" * 9}, "not a JSON object"),
        ({**CONFIG, "auto_map": {}}, {"model.safetensors": b"x" * 9}, "auto_map"),
        (
            CONFIG,
            {
                "a.safetensors": b"x" * 9,
                "model.safetensors.index.json": b'{"weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}',
            },
            "b.safetensors is named in",
        ),
    ],
)
def test_examine_of_a_folder_that_cannot_be_served_names_the_file_at_fault(
    tmp_path: Path, config: object, files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(ModelRejectedError, match=reason):
        examine(model_folder(tmp_path / "m", config, **files))


def test_examine_of_something_else_says_that_it_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match=r"not a model: it has no config\.json"):
        examine(tmp_path)
    with pytest.raises(ModelRejectedError, match="no folder"):
        examine(tmp_path / "gone")


def test_manifest_digest_changes_with_content_and_names_but_not_with_place(tmp_path: Path) -> None:
    seen: list[int] = []
    first = digest(hash_folder(model_folder(tmp_path / "a"), seen.append))
    assert first == digest(hash_folder(model_folder(tmp_path / "b"), seen.append))
    assert first != digest(hash_folder(model_folder(tmp_path / "c", **{"model.safetensors": b"y" * 64}), seen.append))
    assert first != digest(hash_folder(model_folder(tmp_path / "d", **{"model-2.safetensors": b"x" * 64}), seen.append))
    assert seen[-1] > 64


@pytest.mark.parametrize(
    ("weights_gib", "dtype_bytes", "kind", "memory_gib", "fits"),
    [
        (13, 2.0, "gpu", 24, True),  # a 20B model in MXFP4 on a 4090
        (40, 2.0, "gpu", 24, False),
        (0.25, 2.0, "cpu", 8, True),
        (4, 2.0, "cpu", 8, False),  # half precision doubles on a CPU
        (4, 4.0, "cpu", 8, True),
    ],
)
def test_estimate_for_a_device_counts_weights_as_the_engine_holds_them(
    weights_gib: float, dtype_bytes: float, kind: str, memory_gib: float, fits: bool
) -> None:
    found = estimate(int(weights_gib * GIB), dtype_bytes, Device(kind=kind, memory_bytes=int(memory_gib * GIB)))
    assert found.fits is fits
    assert "GiB" in found.reason
