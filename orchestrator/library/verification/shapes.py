"""Do the tensors have the names and shapes that the configuration implies? PURE.

Finds weights of another architecture, of another size or of fewer layers without an engine.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from orchestrator.library.verification.config import Config
from orchestrator.library.verification.families import Family, Row, family_of
from orchestrator.library.verification.header import FLOATS, Tensor
from orchestrator.library.verification.refusal import Code, Refusal, shown
from orchestrator.library.verification.weights import INDEX

_BUFFERS = re.compile(r".*(rotary_emb\.\w+|masked_bias|attn\.bias|attention\.bias|position_ids|[kv]_scale"
                      r"|[qk]_layernorm\.norms\.\d+\.weight)")  # fmt: skip
"""Left in some checkpoints although every engine computes them itself; and norms that StableLM has one of per head."""
_REMEDY = "Take config.json and weights from the same place."


def dimensions(config: Config) -> dict[str, int | None]:
    """Numbers for the names that the tables use; None where the configuration does not say."""
    family, size = family_of(config.architecture), config.size
    hidden, heads = size("hidden_size", "n_embd", "d_model"), size("num_attention_heads", "n_head")
    kv_heads = size("num_key_value_heads")
    if kv_heads is None and family is not None and family.kv_heads_default:
        kv_heads = heads
    head_dim = size("head_dim") or (family.head_dim if family else None)
    if head_dim is None and hidden and heads:
        head_dim = hidden // heads
    if config.architecture.startswith("GPT2"):
        inter = size("n_inner") or _times(hidden, 4)
    else:
        inter = size("intermediate_size", "ffn_dim")
    positions = size("max_position_embeddings", "n_positions")
    q, kv = _times(heads, head_dim), _times(kv_heads, head_dim)
    return {
        "hidden": hidden, "hidden3": _times(hidden, 3), "inter": inter, "inter2": _times(inter, 2), "1": 1, "*": None,
        "layers": size("num_hidden_layers", "n_layer"), "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim,
        "q": q, "kv": kv, "qkv": q + 2 * kv if q and kv else None, "vocab": size("vocab_size"),
        "embed": size("word_embed_proj_dim") or hidden, "positions": positions,
        "positions2": positions + 2 if positions else None, "types": size("type_vocab_size"),
        "experts": size("num_local_experts", "num_experts", "n_routed_experts"),
        "moe_inter": size("moe_intermediate_size"), "shared_inter": size("shared_expert_intermediate_size"),
    }  # fmt: skip


def _times(a: int | None, b: int | None) -> int | None:
    return a * b if a and b else None


def is_tied(config: Config) -> bool | None:
    """Whether the output layer is the embedding; None if neither the configuration nor its family says."""
    said = config.text.get("tie_word_embeddings")
    if isinstance(said, bool):
        return said
    family = family_of(config.architecture)
    return family.tied if family else None


def check_shapes(config: Config, tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Warnings, each a sentence. Raises Refusal naming the first tensor at fault and both shapes."""
    family = family_of(config.architecture)
    if family is None:
        return (f"{config.architecture} is not known here: names and shapes of its tensors were not checked.",)
    return _Check(config, family, tensors).run()


class _Check:
    def __init__(self, config: Config, family: Family, tensors: Sequence[Tensor]) -> None:
        self._config, self._family, self._tensors = config, family, tensors
        self._dims = dimensions(config)
        self._by_name = {tensor.name: tensor for tensor in tensors}
        self._known: set[str] = set()
        first = family.top[0].name
        roots = (root for root in family.roots if any(name.startswith(root + first[:-6]) for name in self._by_name))
        self._root = next(roots, family.roots[0])
        self._layers = self._root + family.layers
        self._stems = {stem for name in self._by_name for stem in _stems(name)} if config.quantization else set()

    def run(self) -> tuple[str, ...]:
        for row in self._family.top:
            self._check(row, self._root + row.name)
        self._check_head()
        count = self._dims["layers"] or 0
        for number in range(count):
            self._check_layer(number)
        return self._check_unknown(count)

    def _check_head(self) -> None:
        name = self._family.head
        if not name or not self._config.architecture.endswith(("ForCausalLM", "LMHeadModel")):
            return
        held = next((each for each in (name, f"language_model.{name}") if each in self._by_name), name)
        self._check(Row(name, ("vocab", "embed"), is_tied(self._config) is False), held)

    def _check_layer(self, number: int) -> None:
        prefix = f"{self._layers}{number}."
        rows = self._family.layer
        sparse = bool(self._family.expert) and self._is_sparse(number)
        rows += self._family.sparse if sparse else self._family.dense
        for row in rows:
            self._check(row, prefix + row.name)
        if sparse:
            self._check_experts(prefix)

    def _is_sparse(self, number: int) -> bool:
        if not self._family.sparse:
            return True
        text = self._config.text
        only, step = text.get("mlp_only_layers") or (), text.get("decoder_sparse_step") or 1
        listed = isinstance(only, list) and number in only
        return not listed and isinstance(step, int) and (number + 1) % max(1, step) == 0

    def _check_experts(self, prefix: str) -> None:
        place = prefix + self._family.expert[0].name.partition("{e}")[0]
        fused = any(name in self._by_name for name in (f"{place}gate_up_proj", f"{place}down_proj"))
        if fused:
            self._known.update(name for name in self._by_name if name.startswith(place))
            return
        for expert in range(self._dims["experts"] or 0):
            for row in self._family.expert:
                self._check(row, prefix + row.name.replace("{e}", str(expert)))

    def _check(self, row: Row, name: str) -> None:
        tensor = self._by_name.get(name)
        if tensor is None:
            if row.required and not self._is_packed(name):
                raise self._missing(name)
            return
        self._known.add(name)
        if tensor.dtype not in FLOATS:
            if self._config.quantization:
                return  # packed: its shape is the quantisation's business
            what = f"holds {shown(name)} as {tensor.dtype}, and config.json names no quantisation"
            raise Refusal(Code.DTYPE, tensor.file, what, _REMEDY)
        wanted = tuple(self._dims[dim] for dim in row.dims)
        fits = len(wanted) == len(tensor.shape) and all(
            want is None or want == have for want, have in zip(wanted, tensor.shape, strict=True)
        )
        if not fits:
            implied = ", ".join("any" if each is None else str(each) for each in wanted)
            what = f"holds {shown(name)} with shape {list(tensor.shape)}, and config.json implies [{implied}]"
            raise Refusal(Code.SHAPE, tensor.file, what, _REMEDY)

    def _is_packed(self, name: str) -> bool:
        return bool(self._stems) and (name in self._stems or name.rpartition(".")[0] in self._stems)

    def _missing(self, name: str) -> Refusal:
        files = {tensor.file for tensor in self._tensors}
        file = INDEX if len(files) > 1 else next(iter(files))
        there = self._layers_there()
        said = self._dims["layers"] or 0
        why = f", which {self._config.architecture} needs"
        if name.startswith(self._layers) and there and max(there) + 1 < said:
            why = f": config.json gives {said} layers and the weights have {max(there) + 1}"
        return Refusal(Code.MISSING_TENSOR, file, f"has no tensor {shown(name)}{why}", _REMEDY)

    def _layers_there(self) -> Collection[int]:
        return {number for tensor in self._tensors if (number := self._layer_of(tensor.name)) is not None}

    def _layer_of(self, name: str) -> int | None:
        if not name.startswith(self._layers):
            return None
        digits = name[len(self._layers) :].partition(".")[0]
        return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 6 else None

    def _check_unknown(self, count: int) -> tuple[str, ...]:
        strange = ""
        for tensor in self._tensors:
            if tensor.name in self._known or _BUFFERS.fullmatch(tensor.name):
                continue
            if not tensor.name.startswith(self._layers):
                strange = strange or tensor.name
                continue
            number = self._layer_of(tensor.name)
            if self._dims["layers"] and (number is None or number >= count):
                what = f"holds {shown(tensor.name)}, and config.json gives {count} layers"
                raise Refusal(Code.UNKNOWN_TENSOR, tensor.file, what, _REMEDY)
            if not self._config.quantization and self._dims["layers"]:
                what = f"holds {shown(tensor.name)}, which {self._config.architecture} does not have"
                raise Refusal(Code.UNKNOWN_TENSOR, tensor.file, what, _REMEDY)
        alone = strange and self._config.architecture.endswith(("ForCausalLM", "LMHeadModel"))
        return (f"{strange} is no part of {self._config.architecture} as known here.",) if alone else ()


def _stems(name: str) -> Iterator[str]:
    """What a packed tensor may stand for: `x.qweight` for `x.weight`, `x_blocks` and `x_scales` for `x`."""
    yield name.rpartition(".")[0]
    yield name.rpartition("_")[0]
