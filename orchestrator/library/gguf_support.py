"""Which GGUF files become safetensors that answer as the file does, and what that takes. PURE.

Transformers reads more architectures than stand here. It leaves out, without a word, what it does not know of a file
(scaling of long contexts, sliding windows, how text is split), and then the model answers differently. So a file is
converted only if all that it says of its architecture is taken over.
"""

import math

from msgspec import Struct

from orchestrator.errors import ModelRejectedError
from orchestrator.library.gguf_header import Header

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Proven by the tests: every tensor and every setting arrives."""
SHARD_BYTES = 4 * 10**9
"""Of one safetensors file."""
_TAKEN_OVER = frozenset({
    "context_length", "block_count", "embedding_length", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon",
    "attention.key_length", "attention.value_length", "rope.freq_base", "rope.dimension_count",
})  # fmt: skip
_NOT_ABOUT_THE_MODEL = {"rope.scaling.type": "none"}
_QWEN3_HEAD = 128
"""What Transformers takes for Qwen3, whatever the file says."""
_SPLITS = frozenset({
    "llama3", "llama-v3", "llama-bpe", "falcon3", "dbrx", "smaug-bpe", "tekken", "qwen2", "deepseek-r1-qwen",
    "megrez", "gpt-2", "smollm",
})  # fmt: skip
"""Ways to cut text before byte pairs are merged (`tokenizer.ggml.pre`) that Transformers knows, or that it takes for
unknown ones and that come to the same."""
_INSTEAD = "Take the model as it was published, as safetensors"
_MIB = 2**20
_ELEMENT_BYTES = 1024
"""What Transformers' reader takes for one token of the vocabulary."""


class GgufFacts(Struct, frozen=True, kw_only=True):
    architecture: str
    quantisation: str
    """The type of most of the numbers."""
    parameters: int
    size_bytes: int
    largest_tensor: int
    """Its number of elements."""
    array_elements: int
    adds_bos: bool
    """Whether a text begins with a token of its own."""

    @property
    def converted_bytes(self) -> int:
        """As bfloat16."""
        return 2 * self.parameters

    @property
    def memory_bytes(self) -> int:
        """What the conversion may take beyond its programs: the model once as bfloat16, the file mapped (twice for a
        moment), the largest tensor as float32 in the making (three copies), the vocabulary, and some air."""
        vocabulary = self.array_elements * _ELEMENT_BYTES
        return self.converted_bytes + 2 * self.size_bytes + 12 * self.largest_tensor + vocabulary + 1024 * _MIB

    @property
    def resident_bytes(self) -> int:
        """What of it must be there at once: pages of the file are given back when memory is short."""
        return self.memory_bytes - 2 * self.size_bytes

    @property
    def cpu_s(self) -> int:
        """Some twenty times what was measured for Q8_0."""
        return 300 + self.parameters // 2_000_000

    @property
    def largest_file_bytes(self) -> int:
        return max(min(self.converted_bytes, SHARD_BYTES), 2 * self.largest_tensor) * 11 // 10 + 256 * _MIB


def facts_of(header: Header, name: str, size_bytes: int) -> GgufFacts:
    """Raises ModelRejectedError for a file that cannot be converted; the sentence begins with `name`."""
    fault = _kind_fault(header) or _architecture_fault(header) or _tokenizer_fault(header)
    if fault is not None:
        raise ModelRejectedError(f"{name} {fault}. {_INSTEAD}.")
    elements: dict[str, int] = {}
    for each in header.tensors:
        elements[each.type] = elements.get(each.type, 0) + each.elements
    return GgufFacts(
        architecture=str(header.values["general.architecture"]),
        quantisation=max(elements, key=elements.__getitem__),
        parameters=sum(elements.values()),
        size_bytes=size_bytes,
        largest_tensor=max(each.elements for each in header.tensors),
        array_elements=header.array_elements,
        adds_bos=_adds_bos(header),
    )


def _kind_fault(header: Header) -> str | None:
    kind = header.values.get("general.type", "model")
    if kind != "model":
        return f"is of the kind {kind!r} and no model by itself"
    parts = header.values.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        return f"is one of {parts} parts of a split file, which Transformers cannot read. Join them with llama.cpp"
    return None


def _architecture_fault(header: Header) -> str | None:
    architecture = header.values.get("general.architecture")
    if architecture is None:
        return "names no architecture"
    if architecture not in ARCHITECTURES:
        known = f"{', '.join(ARCHITECTURES[:-1])} and {ARCHITECTURES[-1]}"
        return f"is of the architecture {architecture!r}; the conversion is known to be right for {known}"
    prefix = f"{architecture}."
    said = {key.removeprefix(prefix): value for key, value in header.values.items() if key.startswith(prefix)}
    lost = [
        key for key, value in sorted(said.items())
        if key not in _TAKEN_OVER and _NOT_ABOUT_THE_MODEL.get(key, not value) != value
    ]  # fmt: skip
    if lost:
        return f"says {prefix}{lost[0]} = {said[lost[0]]!r}, which Transformers would leave out"
    scaled = [each.name for each in header.tensors if each.name.startswith("rope_")]
    if scaled:
        return f"scales long contexts by the tensor {scaled[0]}, which Transformers would leave out"
    return _heads_fault(str(architecture), said)


def _heads_fault(architecture: str, said: dict[str, object]) -> str | None:
    width, heads, layers = (said.get(key) for key in ("embedding_length", "attention.head_count", "block_count"))
    if not (isinstance(width, int) and isinstance(heads, int) and isinstance(layers, int)):
        return "does not say its width, its heads and its layers"
    if not 0 < heads <= width or not 0 < layers <= 1024:
        return f"has {layers} layers and {heads} heads for a width of {width}, which cannot be"
    head = said.get("attention.key_length", width / heads)
    wanted = _QWEN3_HEAD if architecture == "qwen3" else head
    turned, values = said.get("rope.dimension_count", head), said.get("attention.value_length", head)
    if head != wanted or turned != head or values != head:
        return (
            f"has heads of {head:g} for keys and {values:g} for values, of which {turned:g} turn with the position. "
            "Transformers would take them for something else"
        )
    return None


def _tokenizer_fault(header: Header) -> str | None:
    kind, split = header.values.get("tokenizer.ggml.model"), header.values.get("tokenizer.ggml.pre")
    if "tokenizer.ggml.tokens" not in header.values:
        return "holds no vocabulary"
    if kind not in ("gpt2", "llama"):
        return f"has a tokenizer of the kind {kind!r}, which is not converted"
    if kind == "gpt2" and split not in _SPLITS:
        return f"cuts text into words in the way {split!r}, which Transformers does not know"
    return None


def _adds_bos(header: Header) -> bool:
    """llama.cpp adds it for SentencePiece where a file says nothing."""
    default = header.values.get("tokenizer.ggml.model") == "llama"
    return bool(header.values.get("tokenizer.ggml.add_bos_token", default))


def expected_s(size_bytes: int) -> float:
    """What the conversion of a file takes on two cores (measured: 20 to 30 s for 0.1 GB, 55 s for 1.4 GB of Q8_0)."""
    return 22.0 + 30.0 * size_bytes / 1e9


def memory_fault(facts: GgufFacts, free_bytes: int) -> str | None:
    """Why a machine with so much free memory cannot convert the file."""
    if facts.resident_bytes <= free_bytes:
        return None
    needed, free = math.ceil(facts.resident_bytes / 2**30), free_bytes / 2**30
    return f"needs some {needed} GiB of memory to be converted and {free:.1f} GiB are free here. {_INSTEAD}."
