import pickle

import pytest

from replicas.errors import EngineStartError
from replicas.vllm_failures import bad_configuration, explain, root_cause, unknown_architecture

WRAPPER = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"


def test_the_root_cause_is_the_last_error_that_is_not_a_wrapper() -> None:
    log = [
        "(EngineCore pid=1) INFO loading",
        "(EngineCore pid=1) ERROR [core.py:1] safetensors.SafetensorError: Error while deserializing header",
        "(EngineCore pid=1) ERROR [core.py:1] Exception: WorkerProc initialization failed due to an exception",
        WRAPPER,
        "more words",
    ]
    assert root_cause(log) == "SafetensorError: Error while deserializing header"
    assert root_cause(["nothing"]) == ""


@pytest.mark.parametrize(
    ("line", "on_gpu", "words", "permanent"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", True, "GPU ran out", False),
        ("ValueError: Free memory on device cuda:0 (1/24 GiB) on startup is less", True, "GPU ran out", False),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", False, "machine ran out", False),
        ("ValueError: To serve one request, 9 GiB KV cache is needed", False, "kv_cache_bytes", True),
        ("ValueError: No available memory for the cache blocks.", True, "GPU share", True),
        ("safetensors.SafetensorError: Error while deserializing header", False, "damaged", True),
        ("ValueError: something else", False, "something else", False),
    ],
)
def test_known_causes(line: str, on_gpu: bool, words: str, permanent: bool) -> None:
    failure = explain(WRAPPER, [line, WRAPPER], on_gpu=on_gpu)
    assert words in failure.reason
    assert failure.permanent is permanent


def test_a_killed_engine_points_at_memory() -> None:
    failure = explain("Engine core initialization failed. Failed core proc(s): {'EngineCore': -9}", [], on_gpu=False)
    assert "ran out of memory" in failure.reason


def test_a_refused_configuration_is_permanent_and_says_what() -> None:
    error = (
        "1 validation error\n  Value error, too long [type=value_error]\n    For further information visit https://x"
    )
    failure = bad_configuration(error)
    assert failure.permanent
    assert "Value error, too long Correct" in failure.reason


def test_no_words_at_all() -> None:
    assert "it gave no reason" in explain("", ["nothing"], on_gpu=False).reason
    assert "it gave no reason" in explain("", [], on_gpu=False).reason


def test_a_start_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(unknown_architecture(["X"], "vLLM 1")))
    assert isinstance(error, EngineStartError)
    assert error.permanent
    assert "architecture X" in error.reason
