"""What `config.json` says, as far as it can be believed. PURE."""

import re
from typing import Any

from msgspec import Struct

from orchestrator.library.verification.refusal import Code, Refusal
from orchestrator.library.verification.strict_json import entries

NAME = "config.json"
_REMEDY = "Take the config.json that was published with these weights."
_ARCHITECTURE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_LARGEST = {
    "hidden_size": 2**18, "n_embd": 2**18, "d_model": 2**18, "intermediate_size": 2**22, "ffn_dim": 2**22,
    "n_inner": 2**22, "moe_intermediate_size": 2**22, "shared_expert_intermediate_size": 2**22,
    "num_hidden_layers": 2000, "n_layer": 2000, "num_attention_heads": 4096, "n_head": 4096,
    "num_key_value_heads": 4096, "head_dim": 2**14, "vocab_size": 2**23, "max_position_embeddings": 2**28,
    "n_positions": 2**28, "num_local_experts": 2**14, "num_experts": 2**14, "n_routed_experts": 2**14,
    "num_experts_per_tok": 2**14, "type_vocab_size": 2**16, "sliding_window": 2**28,
}  # fmt: skip
"""Sizes that a configuration may give, with the largest that is believed: ten times what has been published."""
_MAY_BE_ZERO = frozenset(["type_vocab_size", "shared_expert_intermediate_size", "n_routed_experts", "num_local_experts",
                          "num_experts", "sliding_window", "num_experts_per_tok", "moe_intermediate_size"])  # fmt: skip
_PER_LAYER = frozenset(["intermediate_size", "num_attention_heads", "num_key_value_heads"])
"""Sizes that some models give layer by layer; they are then not the same for all, and shapes not checked by them."""
_POSITIVE = ("rope_theta", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "partial_rotary_factor")
_REMOTE = {
    "auto_map": "asks to run code from the model (auto_map)",
    "trust_remote_code": "asks to trust code from the model (trust_remote_code)",
    "custom_pipelines": "asks to run a pipeline from the model (custom_pipelines)",
    "custom_generate": "asks to run a generation loop from the model (custom_generate)",
}
_DTYPES = frozenset(["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "auto"])


class Config(Struct, frozen=True, kw_only=True):
    """The configuration, with what of its language model lies in `text_config` brought up."""

    architecture: str
    text: dict[str, Any]
    """Settings of the language model: `text_config` over the rest."""
    quantization: str
    bits: int | None
    """Bits of one packed weight, where the quantisation says so."""

    def size(self, *names: str) -> int | None:
        """The first of these settings that is given as one positive integer; else None."""
        return next((value for name in names if isinstance(value := self.text.get(name), int) and value), None)


def refuse_remote_code(file: str, value: Any) -> None:
    """Raises Refusal if any object in `value`, however deep, asks for code that the model would bring."""
    for key, setting in entries(value):
        if key in _REMOTE and setting not in (None, False, {}, []):
            remedy = f"Take a model that needs no code of its own, or remove {key!r} if the engine knows the model."
            raise Refusal(Code.REMOTE_CODE, file, _REMOTE[key], remedy)


def refuse_foreign_modules(file: str, value: Any) -> None:
    """Raises Refusal if `modules.json` of an embedding model names classes of its own."""
    for module in value if isinstance(value, list) else [value]:
        kind = module.get("type") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not kind.startswith("sentence_transformers."):
            what = f"names the module {str(kind)[:80]!r}, which would be code from the model"
            raise Refusal(Code.REMOTE_CODE, file, what, "Take a model made of sentence_transformers' own modules.")


def read_config(value: Any) -> Config:
    """The configuration in the parsed `config.json`. Raises Refusal."""
    if not isinstance(value, dict):
        raise _fault("is not a JSON object")
    names = value.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise _fault("names no architecture, so no engine can know how to load it")
    if not _ARCHITECTURE.fullmatch(names[0]):
        raise _fault(f"names an architecture that cannot be one ({names[0][:80]!r})")
    nested = value.get("text_config")
    if nested is not None and not isinstance(nested, dict):
        raise _fault("has a text_config that is not an object")
    _check_settings(value)
    _check_settings(nested or {})
    text = {key: setting for key, setting in value.items() if key != "text_config"} | (nested or {})
    _check_heads(text)
    quantization, bits = _quantization(value.get("quantization_config") or text.get("quantization_config"))
    return Config(architecture=names[0], text=text, quantization=quantization, bits=bits)


def _check_settings(settings: dict[str, Any]) -> None:
    for name, largest in _LARGEST.items():
        value = settings.get(name)
        for number in value if isinstance(value, list) and name in _PER_LAYER else [value]:
            _check_size(name, number, largest)
    for name in _POSITIVE:
        number = settings.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float) or number <= 0):
            raise _fault(f"gives {name} as {str(number)[:40]!r}, which is not a positive number")
    dtype = settings.get("dtype") or settings.get("torch_dtype")
    if dtype is not None and (not isinstance(dtype, str) or dtype.removeprefix("torch.") not in _DTYPES):
        raise _fault(f"gives the dtype {str(dtype)[:40]!r}, which no engine knows")


def _check_size(name: str, number: Any, largest: int) -> None:
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int):
        raise _fault(f"gives {name} as {str(number)[:40]!r}, which is not a whole number")
    if number < 0 or (number == 0 and name not in _MAY_BE_ZERO) or number > largest:
        raise _fault(f"gives {name} as {str(number)[:40]}; it must lie between 1 and {largest:,}")


def _check_heads(text: dict[str, Any]) -> None:
    heads = text.get("num_attention_heads") or text.get("n_head")
    kv_heads = text.get("num_key_value_heads")
    hidden = text.get("hidden_size") or text.get("n_embd")
    if not all(isinstance(each, int | None) for each in (heads, kv_heads, hidden)):
        return  # given layer by layer
    if heads and kv_heads and heads % kv_heads:
        raise _fault(f"gives {heads} attention heads for {kv_heads} key-value heads, which do not divide them")
    if heads and hidden and not text.get("head_dim") and hidden % heads:
        raise _fault(f"gives {heads} attention heads for a hidden size of {hidden}, which they do not divide")


def _quantization(value: Any) -> tuple[str, int | None]:
    if value is None:
        return "", None
    if not isinstance(value, dict):
        raise _fault("has a quantization_config that is not an object")
    method = value.get("quant_method") or ("modelopt" if "quant_algo" in value else None)
    if not isinstance(method, str) or not re.fullmatch(r"[\w.-]{1,64}", method):
        raise _fault("has a quantization_config without a quant_method")
    bits = value.get("bits")
    four = value.get("load_in_4bit") or method in ("mxfp4", "nvfp4") or "nvfp4" in str(value.get("quant_algo")).lower()
    if isinstance(bits, int) and bits in (2, 3, 4, 8):
        return method, bits
    return method, 4 if four else None


def task_of(architecture: str, is_embedder: bool) -> str:
    """What a model of this architecture does. `is_embedder`: the folder says so itself, by a `modules.json`."""
    if is_embedder:
        return "embed"
    for suffixes, task in (
        (("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"), "generate"),
        (("ForSequenceClassification", "ForTokenClassification"), "classify"),
        (("ForRewardModel", "RewardModel", "ForProcessRewardModel"), "reward"),
        (("Model", "ForMaskedLM", "ForTextEncoding", "EncoderModel"), "embed"),
    ):
        if architecture.endswith(suffixes):
            return task
    return "unknown"


def _fault(what: str) -> Refusal:
    return Refusal(Code.CONFIG, NAME, what, _REMEDY)
