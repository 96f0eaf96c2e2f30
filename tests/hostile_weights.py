"""Hostile weights: headers, indexes, shapes that are not those of the configuration, numbers that are none."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.honest_models import (
    LLAMA,
    VOCAB,
    data_bytes,
    header_of,
    llama_shapes,
    write_model,
    write_raw,
    write_sharded,
    write_weights,
)
from tests.hostile_case import Hostile, Spoil, configured, honest, written

_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FIRST = "model.embed_tokens.weight"
_Q = "model.layers.1.self_attn.q_proj.weight"
Header = dict[str, Any]


def cases() -> Iterator[Hostile]:
    yield from _raw_cases()
    yield from _header_cases()
    yield from _index_cases()
    yield from _shape_cases()
    yield from _number_cases()


def _raw(header: bytes, data: bytes = b"\0" * 64, length: int | None = None) -> Spoil:
    return honest(lambda folder: write_raw(folder / _FILE, header, data, length))


def _bytes(data: bytes) -> Spoil:
    return honest(lambda folder: (folder / _FILE).write_bytes(data))


def _raw_cases() -> Iterator[Hostile]:
    one = b'{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}'
    twice = one[:-1] + b"," + one[1:]
    empty = b'"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
    bomb = b"{" + b"".join(empty % number for number in range(400_000))[:-1] + b"}"
    for what, make in {
        "nothing in it": _bytes(b""),
        "four bytes": _bytes(b"\0\0\0\0"),
        "only a length": _bytes(b"\x10" + b"\0" * 7),
        "a header of no length": _raw(b"", length=0),
        "a header of one byte": _raw(b"{", length=1),
        "a header beyond its end": _raw(one, length=4096),
        "a header of petabytes": _raw(one, length=2**60),
        "a negative header length": _raw(one, length=2**64 - 1),
        "a header of 200 MB": _raw(one, length=200 * 2**20),
        "a list for a header": _raw(b"[1]" + b" " * 50),
        "text for a header": _raw(b"header"),
        "spaces first": _raw(b"  " + one),
        "half a header": _raw(one[:-9]),
        "a header that is not UTF-8": _raw(one.replace(b'"a"', b'"\xff"')),
        "a tensor twice": _raw(twice),
        "dtype twice": _raw(one.replace(b'"dtype"', b'"dtype":"F16","dtype"')),
        "NaN in the header": _raw(one.replace(b"[16]", b"[NaN]")),
        "an empty header": _raw(b"{}"),
        "only metadata": _raw(b'{"__metadata__":{"a":"b"}}', b""),
        "a number in its metadata": _raw(b'{"__metadata__":{"a":1}}'),
        "nested metadata": _raw(b'{"__metadata__":{"a":{"b":"c"}}}'),
        "a list for metadata": _raw(b'{"__metadata__":[]}'),
        "deep nesting": _raw(b'{"a":' + b"[" * 500_000),
        "400,000 empty tensors": _raw(bomb, b""),
        "millions of commas": _raw(b'{"a":[' + b"0," * 5_000_000 + b"0]}"),
        "a second object": _raw(one + one),
    }.items():
        yield Hostile(f"weights with {what}", "header", _FILE, make)
    yield Hostile("a sparse file of a terabyte", "header", _FILE, honest(lambda folder: _grow(folder / _FILE, 2**40)))


def _grow(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _spoiled(change: Callable[[Header], None], more: int = 0) -> Spoil:
    """The honest header with a change; the data as long as before, `more` bytes aside."""

    @honest
    def spoil(folder: Path) -> None:
        header = header_of(llama_shapes())
        size = data_bytes(header) + more
        change(header)
        write_weights(folder / _FILE, header, b"\x11" * size)

    return spoil


def _set(name: str, **values: Any) -> Callable[[Header], None]:
    return lambda header: header[name].update(values)


def _gap(header: Header) -> None:
    begin, end = header["lm_head.weight"]["data_offsets"]
    header["lm_head.weight"].update(shape=[VOCAB - 1, 16], data_offsets=[begin + 32, end])


def _header_cases() -> Iterator[Hostile]:
    size = VOCAB * 16 * 2
    for what, change in {
        "an unknown dtype": _set(_FIRST, dtype="F128"),
        "a dtype that is a number": _set(_FIRST, dtype=16),
        "a dtype of another size": _set(_FIRST, dtype="F32"),
        "a dtype in small letters": _set(_FIRST, dtype="bf16"),
        "a negative dimension": _set(_FIRST, shape=[-VOCAB, -16]),
        "a dimension that is text": _set(_FIRST, shape=["320", 16]),
        "half a dimension": _set(_FIRST, shape=[VOCAB, 16.0]),
        "a shape that overflows": _set(_FIRST, shape=[2**32, 2**32, VOCAB]),
        "a huge dimension": _set(_FIRST, shape=[10**4000]),
        "forty dimensions": _set(_FIRST, shape=[1] * 40),
        "a shape that is a number": _set(_FIRST, shape=5120),
        "true for a dimension": _set(_FIRST, shape=[True, 5120]),
        "a shape that is too large": _set(_FIRST, shape=[VOCAB, 17]),
        "no shape": lambda header: header[_FIRST].pop("shape"),
        "no offsets": lambda header: header[_FIRST].pop("data_offsets"),
        "one offset": _set(_FIRST, data_offsets=[0]),
        "offsets turned round": _set(_FIRST, data_offsets=[size, 0]),
        "negative offsets": _set(_FIRST, data_offsets=[-2, size - 2]),
        "offsets beyond the end": _set("lm_head.weight", data_offsets=[2**40, 2**40 + size]),
        "tensors that overlap": _set(_Q, data_offsets=[0, 512]),
        "a field too many": _set(_FIRST, code="import os"),
        "a gap": _gap,
        "a name with a line break": lambda header: header.update({"a\nb": header.pop(_FIRST)}),
        "an empty name": lambda header: header.update({"": header.pop(_FIRST)}),
        "a name of 10,000 letters": lambda header: header.update({"a" * 10_000: header.pop(_FIRST)}),
        "a name that is not ASCII": lambda header: header.update({"mоdel": header.pop(_FIRST)}),
        "a tensor that is text": lambda header: header.update({_FIRST: "text"}),
    }.items():
        yield Hostile(f"weights with {what}", "header", _FILE, _spoiled(change))
    for more in (-1, -data_bytes(header_of(llama_shapes())), 1, 4096):
        yield Hostile(f"weights with {more} bytes more", "header", _FILE, _spoiled(lambda header: None, more))


def _sharded(change: Callable[[Path, Header], None]) -> Spoil:
    def make(folder: Path) -> None:
        write_sharded(folder)
        index = json.loads((folder / _INDEX).read_text())
        change(folder, index)
        (folder / _INDEX).write_text(json.dumps(index))

    return make


def _moved(name: str, file: Any) -> Callable[[Path, Header], None]:
    return lambda folder, index: index["weight_map"].update({name: file})


def _index_cases() -> Iterator[Hostile]:
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    for what, file, change in (
        ("a shard missing", second, lambda folder, index: (folder / second).unlink()),
        ("a file that is not there", "gone.safetensors", _moved(_FIRST, "gone.safetensors")),
        ("a file outside", "../secret.safetensors", _moved(_FIRST, "../secret.safetensors")),
        ("an absolute file", "/etc/passwd", _moved(_FIRST, "/etc/passwd")),
        ("a pickle", "pytorch_model.bin", _moved(_FIRST, "pytorch_model.bin")),
        ("a tensor in the wrong file", _INDEX, _moved(_FIRST, second)),
        ("a tensor that is nowhere", _INDEX, _moved("model.ghost", first)),
        ("a tensor that it does not know", first, lambda folder, index: index["weight_map"].pop(_FIRST)),
        ("no weight_map", _INDEX, lambda folder, index: index.pop("weight_map")),
        ("a list for weight_map", _INDEX, lambda folder, index: index.update(weight_map=[first])),
        ("numbers for files", _INDEX, _moved(_FIRST, 7)),
        ("a total size of petabytes", _INDEX, lambda folder, index: index.update(metadata={"total_size": 10**15})),
        ("a negative total size", _INDEX, lambda folder, index: index.update(metadata={"total_size": -1})),
        ("text for a total size", _INDEX, lambda folder, index: index.update(metadata={"total_size": "all"})),
        ("text for metadata", _INDEX, lambda folder, index: index.update(metadata="all")),
        (
            "a file that it does not know",
            "model-extra.safetensors",
            lambda folder, index: write_weights(folder / "model-extra.safetensors", header_of({"extra": (2, 2)})),
        ),
        (
            "a tensor in two files",
            "model-extra.safetensors",
            lambda folder, index: write_weights(folder / "model-extra.safetensors", header_of({_FIRST: (2, 2)})),
        ),
    ):
        yield Hostile(f"an index with {what}", "index", file, _sharded(change))

    yield from _incomplete()


def _incomplete() -> Iterator[Hostile]:
    def without_index(folder: Path) -> None:
        write_sharded(folder, 3)
        (folder / _INDEX).unlink()
        (folder / "model-00002-of-00003.safetensors").unlink()

    def broken(folder: Path) -> None:
        write_sharded(folder)
        (folder / _INDEX).write_text('{"weight_map": {"a": "b", "a": "c"}}')

    @honest
    def no_weights(folder: Path) -> None:
        (folder / _FILE).unlink()

    @honest
    def hidden_away(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / _FILE).rename(folder / "sub" / _FILE)

    yield Hostile("a shard missing without an index", "index", "model-00002-of-00003.safetensors", without_index)
    yield Hostile("an index with a key twice", "json", _INDEX, broken)
    other = "pytorch_model.bin.index.json"
    yield Hostile("another index that is none", "json", other, written(other, b'{"weight_map": '))
    yield Hostile("no weights", "no_weights", "", no_weights)
    yield Hostile("weights in another folder", "kind", "sub/model.safetensors", hidden_away)


def _with(config: dict[str, Any] | None = None, dtypes: dict[str, str] | None = None, **sizes: Any) -> Spoil:
    return lambda folder: write_model(folder, LLAMA | (config or {}), llama_shapes(**sizes), dtypes)


def _without(*names: str, config: dict[str, Any] | None = None, more: dict[str, Any] | None = None) -> Spoil:
    shapes = {name: shape for name, shape in llama_shapes().items() if name not in names} | (more or {})
    return lambda folder: write_model(folder, LLAMA | (config or {}), shapes)


def _shape_cases() -> Iterator[Hostile]:
    qwen = {"architectures": ["Qwen2ForCausalLM"]}
    for what, make in {
        "half the hidden size": configured(hidden_size=8),
        "twice the layers' width": configured(intermediate_size=64),
        "another vocabulary": configured(vocab_size=VOCAB + 1),
        "as many key-value heads as heads": configured(num_key_value_heads=4),
        "larger heads": configured(head_dim=8),
        "Qwen and the weights of a larger Llama": _with(qwen, hidden=32),
        "a wider output of the last layer": _with(q=32),
        "Gemma's large heads": configured(architectures=["GemmaForCausalLM"]),
    }.items():
        yield Hostile(f"weights for {what}", "shape", _FILE, make)
    for name, shape in llama_shapes().items():
        if ".0." not in name:
            turned = (*shape[:-1], shape[-1] + 2)
            yield Hostile(f"another shape of {name}", "shape", _FILE, _without(name, more={name: turned}))
            yield Hostile(f"integers for {name}", "dtype", _FILE, _with(dtypes={name: "I16"}))
            yield Hostile(f"no {name}", "missing_tensor", _FILE, _without(name))
    yield from _wrong_architectures()


def _wrong_architectures() -> Iterator[Hostile]:
    qwen = {"architectures": ["Qwen2ForCausalLM"]}
    for what, code, make in (
        ("fewer layers than said", "missing_tensor", configured(num_hidden_layers=3)),
        ("more layers than said", "unknown_tensor", configured(num_hidden_layers=1)),
        ("Llama's weights said to be Qwen2's", "missing_tensor", _with(qwen)),
        ("Llama's weights said to be Qwen3's", "missing_tensor", _with({"architectures": ["Qwen3ForCausalLM"]})),
        ("Llama's weights said to be GPT-2's", "missing_tensor", _with({"architectures": ["GPT2LMHeadModel"]})),
        ("Llama's weights said to be BERT's", "missing_tensor", _with({"architectures": ["BertModel"]})),
        (
            "Llama's weights said to be a mixture",
            "missing_tensor",
            _with({"architectures": ["MixtralForCausalLM"], "num_local_experts": 8}),
        ),
        ("no output layer and none tied", "missing_tensor", _without("lm_head.weight")),
        (
            "Qwen3's weights said to be Llama's",
            "unknown_tensor",
            _without(more={"model.layers.0.self_attn.q_norm.weight": (4,)}),
        ),
        ("a layer of no number", "unknown_tensor", _without(more={"model.layers.first.weight": (4,)})),
        (
            "a GPTQ layer missing",
            "missing_tensor",
            configured(num_hidden_layers=3, quantization_config={"quant_method": "gptq", "bits": 4}),
        ),
        ("FP8 layers of another size", "shape", configured(hidden_size=8, quantization_config={"quant_method": "fp8"})),
    ):
        yield Hostile(what, code, _FILE, make)


def _number_cases() -> Iterator[Hostile]:
    for dtype, numbers in {
        "BF16": (b"\xc0\x7f", b"\x80\xff"),
        "F16": (b"\x00\x7e", b"\x00\xfc"),
        "F32": (b"\0\0\xc0\x7f", b"\0\0\x80\xff"),
        "F64": (struct.pack("<d", float("nan")), struct.pack("<d", float("-inf"))),
        "F8_E5M2": (b"\x7c", b"\xfd"),
        "F8_E4M3": (b"\x7f", b"\xff"),
    }.items():
        for number, place in zip(numbers, (0, -1), strict=True):
            yield Hostile(
                f"{dtype} numbers that are none: {number.hex()}", "not_finite", _FILE, _poisoned(dtype, number, place)
            )
    yield Hostile("a NaN within", "not_finite", _FILE, _poisoned("BF16", b"\xc0\x7f", 2000))


def _poisoned(dtype: str, number: bytes, place: int) -> Spoil:
    """One number of the embedding replaced; `place` counts numbers, from the end if negative."""

    def make(folder: Path) -> None:
        write_model(folder, shapes=llama_shapes(), dtypes=dict.fromkeys(llama_shapes(), dtype))
        header = header_of(llama_shapes(), dtype)
        data = bytearray(b"\x11" * data_bytes(header))
        begin, end = header[_FIRST]["data_offsets"]
        at = begin + place * len(number) if place >= 0 else end + place * len(number)
        data[at : at + len(number)] = number
        write_weights(folder / _FILE, header, bytes(data))

    return make
