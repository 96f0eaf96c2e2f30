import json
from pathlib import Path

import pytest

from replicas.errors import EngineStartError
from replicas.types import EngineKind, ReplicaSpec
from replicas.vllm_settings import check_weights, command_line, engine_arguments, environment, weights_bytes


def _spec(**fields: object) -> ReplicaSpec:
    given = {"deployment": "d", "model": "m", "engine": EngineKind.VLLM, "revision": "r", "weights_path": "/w"}
    return ReplicaSpec(**(given | fields))  # type: ignore[arg-type]


def test_a_cpu_gets_float32_and_a_cache_in_bytes() -> None:
    arguments = engine_arguments(_spec(kv_cache_bytes=123))
    assert arguments["dtype"] == "float32"
    assert arguments["enforce_eager"] is True
    assert arguments["kv_cache_memory_bytes"] == 123
    assert arguments["served_model_name"] == "m"
    assert "gpu_memory_utilization" not in arguments


@pytest.mark.parametrize(("gpus", "share", "parallel"), [(1, 0.9, None), (0.5, 0.45, None), (2, 0.9, 2)])
def test_a_gpu_gets_its_share(gpus: float, share: float, parallel: int | None) -> None:
    arguments = engine_arguments(_spec(gpus_per_replica=gpus))
    assert arguments["gpu_memory_utilization"] == pytest.approx(share)
    assert arguments.get("tensor_parallel_size") == parallel
    assert "dtype" not in arguments


def test_sleep_mode_is_switched_on_where_it_is_wanted_alone(tmp_path: Path) -> None:
    asked = engine_arguments(_spec(gpus_per_replica=1, sleep_mode=True))
    assert (asked["enable_sleep_mode"], asked["sleep_mode_offload_cudagraph"]) == (True, True)
    assert "enable_sleep_mode" not in engine_arguments(_spec(gpus_per_replica=1))
    (tmp_path / "a.safetensors").write_bytes(b"12345")
    (tmp_path / "b.safetensors").write_bytes(b"123")
    (tmp_path / "config.json").write_text("{}")
    assert weights_bytes(tmp_path) == 8


def test_engine_args_have_the_last_word_in_either_spelling() -> None:
    arguments = engine_arguments(_spec(engine_args={"dtype": "bfloat16", "max-num-seqs": 8}))
    assert arguments["dtype"] == "bfloat16"
    assert arguments["max_num_seqs"] == 8


def test_command_line() -> None:
    words = command_line({"a_b": 1, "on": True, "off": False, "none": None, "map": {"k": 1}, "many": ["x", 2]})
    assert words == ["--a-b=1", "--on", "--no-off", "--map", '{"k": 1}', "--many", "x", "2"]


def test_the_environment_keeps_the_engine_private_and_offline() -> None:
    variables = environment(_spec(), cores=2)
    assert variables["VLLM_SERVER_DEV_MODE"] == "0"
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert variables["VLLM_NO_USAGE_STATS"] == "1"
    assert variables["OMP_NUM_THREADS"] == "2"
    assert variables["PYTHONDONTWRITEBYTECODE"] is None
    assert environment(_spec(cpu_threads=1), cores=8)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in environment(_spec(gpus_per_replica=1), cores=8)


def _model(folder: Path, config: object = None, weights: bool = True) -> str:
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if weights:
        (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


def test_weights_name_their_architectures(tmp_path: Path) -> None:
    assert check_weights(_model(tmp_path / "m", {"architectures": ["LlamaForCausalLM"]})) == ["LlamaForCausalLM"]


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        (None, True, "no config.json"),
        ("{", True, "not valid JSON"),
        ({"architectures": ["A"]}, False, "no weights"),
        ({}, True, "no architecture"),
        ([], True, "no architecture"),
    ],
)
def test_what_is_missing_is_named_and_permanent(tmp_path: Path, config: object, weights: bool, words: str) -> None:
    with pytest.raises(EngineStartError, match=words) as caught:
        check_weights(_model(tmp_path / "m", config, weights))
    assert caught.value.permanent


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_a_missing_folder_is_named(folder: str) -> None:
    with pytest.raises(EngineStartError, match="not on this machine") as caught:
        check_weights(folder)
    assert caught.value.permanent
