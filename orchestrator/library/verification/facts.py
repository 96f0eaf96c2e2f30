"""What is known of a model once it has been examined, and what the examining process says. PURE."""

from msgspec import Struct


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What a list of models shows and what an estimate of weights, KV cache and activations needs."""

    architecture: str
    task: str
    """`generate`, `embed`, `classify`, `reward` or `unknown`, derived from the architecture."""
    max_model_len: int | None
    weights_bytes: int
    """Bytes of the tensors, without the files' headers."""
    parameters: int
    """Of packed quantised weights, the number before packing where the number of bits is known."""
    dtype: str
    """The dtype that holds most bytes, as safetensors names it."""
    dtype_bytes: float
    """Bytes of one element of `dtype`."""
    quantization: str = ""
    """`quant_method` of the configuration; empty if the weights are not quantised."""
    tensors: int
    hidden_size: int | None = None
    intermediate_size: int | None = None
    layers: int | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int | None = None
    experts: int | None = None
    sliding_window: int | None = None
    """Tokens that a layer with a window sees; None where no layer has one."""
    tied_embeddings: bool = False
    has_chat_template: bool = False
    sees_images: bool = False
    """It takes pictures beside text."""
    warnings: tuple[str, ...] = ()


class Used(Struct, frozen=True, kw_only=True):
    """What the examination took."""

    cpu_s: float
    peak_rss_bytes: int


class Accepted(Struct, frozen=True, tag="accepted"):
    facts: ModelFacts
    used: Used | None = None


class Refused(Struct, frozen=True, tag="refused"):
    code: str
    """One of `refusal.Code`."""
    file: str
    sentence: str
    used: Used | None = None
    """None if the process was ended before it could tell."""


Verdict = Accepted | Refused
