"""GGUF files for tests: written field by field, so that each can be wrong; and small models in them that are right."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALIGNMENT = 32
_BF16 = 30
TOKENS = ["<s>", "</s>", *map(chr, range(33, 127)), "Ġ", "he", "ll", "hell", "hello"]
MERGES = ["h e", "l l", "he ll", "hell o"]
TINY: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "llama.context_length": 128,
    "llama.block_count": 1,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 10000.0,
    "llama.rope.dimension_count": 32,
    "llama.vocab_size": len(TOKENS),
}
TOKENIZER: dict[str, Any] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3] + [1] * (len(TOKENS) - 2),
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.unknown_token_id": 0,
}


@dataclass
class Entry:
    """One tensor as the file's table says it: `shape` as ggml stores it."""

    name: str
    shape: Sequence[int]
    data: bytes = b""
    type: int = _BF16
    offset: int | None = None


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(it: Any) -> bytes:
    """Type and value of a pair. Bytes are taken as they are."""
    match it:
        case bytes():
            return it
        case bool():
            return struct.pack("<I?", 7, it)
        case int():
            return struct.pack("<II", 4, it)
        case float():
            return struct.pack("<If", 6, it)
        case str():
            return struct.pack("<I", 8) + text(it)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(it)) + b"".join(map(text, it))
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(it)}i", 9, 5, len(it), *it)
    raise TypeError(it)


@dataclass
class Packed:
    """All parts of a file; what is None is counted."""

    pairs: Mapping[Any, Any] = field(default_factory=lambda: TINY | TOKENIZER)
    """By names, which are text or, where they are to be wrong, bytes."""
    tensors: Sequence[Entry] = ()
    magic: bytes = b"GGUF"
    version: int = 3
    pair_count: int | None = None
    tensor_count: int | None = None
    tail: bytes = b""
    cut: int | None = None

    def bytes(self) -> bytes:
        head = self.magic + struct.pack(
            "<IQQ",
            self.version,
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.pairs) if self.pair_count is None else self.pair_count,
        )
        head += b"".join(text(key) + value(each) for key, each in self.pairs.items())
        data = b""
        for each in self.tensors:
            offset = len(data) if each.offset is None else each.offset
            head += text(each.name) + struct.pack(f"<I{len(each.shape)}Q", len(each.shape), *each.shape)
            head += struct.pack("<IQ", each.type, offset)
            data += each.data + b"\0" * (-len(each.data) % ALIGNMENT)
        whole = head + b"\0" * (-len(head) % ALIGNMENT) + data + self.tail
        return whole[: self.cut]

    def write(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path


def tensors(pairs: Mapping[str, Any] = TINY, *, without: str = "") -> list[Entry]:
    """Zeros in the shapes that a small Llama has."""
    width, wide = pairs["llama.embedding_length"], pairs["llama.feed_forward_length"]
    heads, kv_heads = pairs["llama.attention.head_count"], pairs["llama.attention.head_count_kv"]
    kv, words = width * kv_heads // heads, len(TOKENS)
    shapes = {"token_embd.weight": (width, words), "output_norm.weight": (width,), "output.weight": (width, words)}
    for layer in range(pairs["llama.block_count"]):
        shapes |= {
            f"blk.{layer}.{name}.weight": shape
            for name, shape in {
                "attn_norm": (width,), "attn_q": (width, width), "attn_k": (width, kv), "attn_v": (width, kv),
                "attn_output": (width, width), "ffn_norm": (width,), "ffn_gate": (width, wide),
                "ffn_up": (width, wide), "ffn_down": (wide, width),
            }.items()
        }  # fmt: skip
    return [Entry(name, shape, bytes(2 * _product(shape))) for name, shape in shapes.items() if name != without]


def _product(shape: Sequence[int]) -> int:
    product = 1
    for each in shape:
        product *= each
    return product


@dataclass
class Hostile:
    """A file that must be refused, and why."""

    name: str
    packed: Packed
    reason: str


def _with(**pairs: Any) -> dict[str, Any]:
    return TINY | TOKENIZER | {key.replace("__", "."): each for key, each in pairs.items()}


def hostile() -> Iterator[Hostile]:
    """Damaged, cut off, or made to do harm."""
    good = tensors()
    one = Entry("a", (32,), bytes(64))
    array = struct.pack("<II", 9, 8)
    yield Hostile("empty", Packed(cut=0), "is cut off")
    yield Hostile("another kind of file", Packed(magic=b"PK\3\4", tensors=good), "does not begin with GGUF")
    yield Hostile("version 1", Packed(version=1, tensors=good), "is of GGUF version 1")
    yield Hostile("version of the future", Packed(version=4, tensors=good), "is of GGUF version 4")
    yield Hostile("big-endian", Packed(version=3 << 24, tensors=good), "is a big-endian GGUF file")
    yield Hostile("no tensors", Packed(), "holds no tensors")
    yield Hostile("2^63 tensors", Packed(tensor_count=2**63, tensors=good), "claims 9,223,372,036,854,775,808 tensors")
    yield Hostile("more tensors than there are", Packed(tensor_count=65_536, tensors=good), "which F32 cannot have")
    yield Hostile("2^63 pairs", Packed(pair_count=2**63, tensors=good), "claims .* key-value pairs")
    yield Hostile(
        "key of 2^62 bytes",
        Packed({b"": b""}, tail=struct.pack("<Q", 2**62), tensor_count=1),
        "claims|cut off|unknown type",
    )
    yield Hostile(
        "string of 2^60 bytes", Packed(_with(a=struct.pack("<IQ", 8, 2**60)), good), "bytes for the value of 'a'"
    )
    yield Hostile("array of 2^61", Packed(_with(a=array + struct.pack("<Q", 2**61)), good), "array elements under 'a'")
    yield Hostile(
        "array of strings of 2^50 bytes",
        Packed(_with(a=array + struct.pack("<QQ", 1, 2**50)), good),
        "bytes for an element of 'a'",
    )
    yield Hostile(
        "two million empty strings and one",
        Packed(_with(a=array + struct.pack("<Q", 2_000_001)), good),
        "array elements",
    )
    yield Hostile(
        "two million empty strings",
        Packed(
            _with(
                a=array + struct.pack("<Q", 1_950_000) + bytes(8 * 1_950_000),
                b=array + struct.pack("<Q", 100_000) + bytes(800_000),
            ),
            good,
        ),
        "array elements under 'b'",
    )
    yield Hostile("array of arrays", Packed(_with(a=struct.pack("<IIQ", 9, 9, 1)), good), "array of the type 9")
    yield Hostile("unknown type of value", Packed(_with(a=struct.pack("<I", 99)), good), "unknown type 99")
    yield Hostile("key twice", Packed({b"k": 1, "k": 2}, good), "the key 'k' twice")
    yield Hostile("key that is not UTF-8", Packed({b"\xff\xfe": 1}, good), "not UTF-8")
    yield Hostile("alignment 0", Packed(_with(general__alignment=0), good), "alignment of 0")
    yield Hostile("alignment 48", Packed(_with(general__alignment=48), good), "alignment of 48")
    yield Hostile("alignment as text", Packed(_with(general__alignment="32"), good), "alignment of '32'")
    yield Hostile("tensor twice", Packed(tensors=[*good, good[0]]), "names a tensor twice")
    yield Hostile(
        "tensors over each other", Packed(tensors=[one, Entry("b", (32,), bytes(64), offset=32)]), "over another"
    )
    yield Hostile(
        "offset that is not aligned", Packed(tensors=[Entry("a", (32,), bytes(96), offset=7)]), "is not aligned"
    )
    yield Hostile("offset beyond the file", Packed(tensors=[Entry("a", (32,), bytes(64), offset=2**63)]), "is cut off")
    yield Hostile(
        "shape whose product overflows", Packed(tensors=[Entry("a", (2**32, 2**32, 2**32, 2**32))]), "is cut off"
    )
    yield Hostile("row of 2^63", Packed(tensors=[Entry("a", (2**63,))]), "elements in a row")
    yield Hostile("dimension 0", Packed(tensors=[Entry("a", (0, 4))]), "which BF16 cannot have")
    yield Hostile("no dimension", Packed(tensors=[Entry("a", ())]), "which BF16 cannot have")
    yield Hostile("2^31 dimensions", Packed(tensors=[Entry("a", [1] * 5)]), "claims 5 dimensions")
    yield Hostile("half a block", Packed(tensors=[Entry("a", (33,), bytes(64), type=8)]), "which Q8_0 cannot have")
    yield Hostile("unknown type of tensor", Packed(tensors=[Entry("a", (32,), bytes(64), type=4)]), "in the type 4")
    yield Hostile(
        "long name of a tensor", Packed(tensors=[Entry("a" * 129, (32,), bytes(64))]), "bytes for a tensor's name"
    )
    yield Hostile("cut off within the header", Packed(tensors=good, cut=100), "ends within its header")
    yield Hostile("cut off within the tensors", Packed(tensors=good, cut=-64), "is cut off: '.*' ends at byte")


def unsupported() -> Iterator[Hostile]:
    """Whole, and of a kind that would not become the same model."""
    good = tensors()
    yield Hostile("no architecture", Packed({"a": 1}, good), "names no architecture")
    yield Hostile(
        "another architecture", Packed(_with(general__architecture="rwkv7"), good), "'rwkv7'.*llama, qwen2 and qwen3"
    )
    yield Hostile("adapter", Packed(_with(general__type="adapter"), good), "kind 'adapter'")
    yield Hostile("projector", Packed(_with(general__type="mmproj"), good), "kind 'mmproj'")
    yield Hostile("part", Packed(_with(split__count=3), good), "one of 3 parts")
    yield Hostile(
        "scaled contexts", Packed(_with(llama__rope__scaling__type="yarn"), good), "rope.scaling.type = 'yarn'"
    )
    yield Hostile("experts", Packed(_with(llama__expert_count=8), good), "expert_count = 8, which Transformers would")
    yield Hostile(
        "scaling tensor", Packed(tensors=[*good, Entry("rope_freqs.weight", (32,), bytes(64))]), "rope_freqs.weight"
    )
    yield Hostile("half the head turns", Packed(_with(llama__rope__dimension_count=16), good), "of which 16 turn")
    yield Hostile("no heads", Packed(_with(llama__attention__head_count=0), good), "0 heads")
    yield Hostile("a million layers", Packed(_with(llama__block_count=10**6), good), "1000000 layers")
    yield Hostile("heads as text", Packed(_with(llama__attention__head_count="2"), good), "does not say its width")
    yield Hostile("no vocabulary", Packed(dict(TINY), good), "holds no vocabulary")
    yield Hostile("WordPiece", Packed(_with(tokenizer__ggml__model="bert"), good), "tokenizer of the kind 'bert'")
    yield Hostile("unknown cuts", Packed(_with(tokenizer__ggml__pre="mystery"), good), "in the way 'mystery'")
