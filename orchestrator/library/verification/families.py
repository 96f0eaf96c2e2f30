"""Which tensors the known architectures have, as tables. PURE.

A row is `name: dims`; the dims are names that `shapes.dimensions` gives numbers to, `*` for any. A leading `?` marks a
tensor that may be missing. Rows of a layer are named relative to it; `{e}` stands for the number of an expert.
Written down from the published checkpoints' headers.
"""

from msgspec import Struct


class Row(Struct, frozen=True):
    name: str
    dims: tuple[str, ...]
    required: bool


class Family(Struct, frozen=True, kw_only=True):
    top: tuple[Row, ...]
    """Tensors outside the layers; the first is the embedding, by which the root is found."""
    layer: tuple[Row, ...]
    dense: tuple[Row, ...] = ()
    """Of layers without experts, where the family has such."""
    sparse: tuple[Row, ...] = ()
    """Of layers with experts, but for the experts."""
    expert: tuple[Row, ...] = ()
    roots: tuple[str, ...] = ("model.", "", "language_model.model.", "model.language_model.", "language_model.")
    layers: str = "layers."
    head: str = "lm_head.weight"
    """Full name of the output layer; empty if the family has none of its own."""
    tied: bool = False
    """Whether the output layer is the embedding if the configuration does not say."""
    head_dim: int | None = None
    """Size of a head if the configuration does not say and it is not the hidden size over the heads."""
    kv_heads_default: bool = True
    """Whether there are as many key-value heads as heads if the configuration does not say."""


def _rows(text: str) -> tuple[Row, ...]:
    rows = []
    for line in text.split("\n"):
        name, _, dims = line.strip().partition(":")
        if name:
            rows.append(Row(name.lstrip("?"), tuple(dims.split()), not name.startswith("?")))
    return tuple(rows)


def _with_bias(text: str, required: bool = False) -> str:
    """The rows of `text` and, to each weight, its bias."""
    mark = "" if required else "?"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    biases = [
        f"{mark}{line.lstrip('?').partition(':')[0].removesuffix('weight')}bias:{line.partition(':')[2].split()[0]}"
        for line in lines
    ]
    return "\n".join([*lines, *biases])


_QKV = "self_attn.q_proj.weight:q hidden\nself_attn.k_proj.weight:kv hidden\nself_attn.v_proj.weight:kv hidden"
_OUT = "self_attn.o_proj.weight:hidden q"
_ATTENTION = _with_bias(f"{_QKV}\n{_OUT}")
_HEAD_NORMS = "self_attn.q_norm.weight:head_dim\nself_attn.k_norm.weight:head_dim"
_WIDE_NORMS = "self_attn.q_norm.weight:q\nself_attn.k_norm.weight:kv"
_GATED = "mlp.gate_proj.weight:inter hidden\nmlp.up_proj.weight:inter hidden\nmlp.down_proj.weight:hidden inter"
_MLP = _with_bias(_GATED)
_NORMS = "input_layernorm.weight:hidden\npost_attention_layernorm.weight:hidden"
_FEED_NORMS = "pre_feedforward_layernorm.weight:hidden\npost_feedforward_layernorm.weight:hidden"
_TOP = "embed_tokens.weight:vocab hidden\nnorm.weight:hidden"
_EXPERT = (
    "mlp.experts.{e}.gate_proj.weight:moe_inter hidden\nmlp.experts.{e}.up_proj.weight:moe_inter hidden\n"
    "mlp.experts.{e}.down_proj.weight:hidden moe_inter"
)


def _decoder(*layer: str, top: str = _TOP, tied: bool = False, head_dim: int | None = None,
             kv_default: bool = True) -> Family:  # fmt: skip
    return Family(
        top=_rows(top), layer=_rows("\n".join(layer)), tied=tied, head_dim=head_dim, kv_heads_default=kv_default
    )


_LLAMA = _decoder(_NORMS, _ATTENTION, _MLP)
_MISTRAL = _decoder(_NORMS, _ATTENTION, _MLP, kv_default=False)
_QWEN2 = _decoder(_NORMS, _with_bias(_QKV, required=True), _OUT, _GATED, kv_default=False)
_QWEN3 = _decoder(_NORMS, _ATTENTION, _HEAD_NORMS, _GATED, kv_default=False)
_PHI3 = _decoder(
    _NORMS, "self_attn.qkv_proj.weight:qkv hidden", _OUT,
    "mlp.gate_up_proj.weight:inter2 hidden\nmlp.down_proj.weight:hidden inter",
)  # fmt: skip
_GEMMA = _decoder(_NORMS, _ATTENTION, _GATED, tied=True, head_dim=256, kv_default=False)
_GEMMA2 = _decoder(_NORMS, _ATTENTION, _GATED, _FEED_NORMS, tied=True, head_dim=256, kv_default=False)
_GEMMA3 = _decoder(_NORMS, _ATTENTION, _HEAD_NORMS, _GATED, _FEED_NORMS, tied=True, head_dim=256, kv_default=False)
_OLMO = _decoder(_ATTENTION, _GATED, top="embed_tokens.weight:vocab hidden")
_OLMO2 = _decoder(
    "post_attention_layernorm.weight:hidden\npost_feedforward_layernorm.weight:hidden", _ATTENTION, _WIDE_NORMS, _GATED
)
_NORM_BIASES = "input_layernorm.bias:hidden\npost_attention_layernorm.bias:hidden"
_STABLELM = _decoder(
    _NORMS.replace("post_", "?post_"), _NORM_BIASES.replace("post_", "?post_"), _ATTENTION, _GATED,
    "?self_attn.q_layernorm.weight:*\n?self_attn.k_layernorm.weight:*", top=f"{_TOP}\nnorm.bias:hidden",
)  # fmt: skip
_STARCODER2 = _decoder(
    _NORMS, _NORM_BIASES, _ATTENTION,
    _with_bias("mlp.c_fc.weight:inter hidden\nmlp.c_proj.weight:hidden inter"),
    top=f"{_TOP}\nnorm.bias:hidden", tied=True, kv_default=False,
)  # fmt: skip
_COHERE = _decoder("input_layernorm.weight:hidden", _ATTENTION, _GATED,
                   "?self_attn.q_norm.weight:* *\n?self_attn.k_norm.weight:* *", tied=True)  # fmt: skip
_MIXTRAL = Family(
    top=_rows(_TOP),
    layer=_rows(f"{_NORMS}\n{_ATTENTION}\nblock_sparse_moe.gate.weight:experts hidden"),
    expert=_rows(
        "block_sparse_moe.experts.{e}.w1.weight:inter hidden\nblock_sparse_moe.experts.{e}.w2.weight:hidden inter\n"
        "block_sparse_moe.experts.{e}.w3.weight:inter hidden"
    ),
    kv_heads_default=False,
)
_ROUTER = "mlp.gate.weight:experts hidden"
_SHARED = (
    "mlp.shared_expert.gate_proj.weight:shared_inter hidden\nmlp.shared_expert.up_proj.weight:shared_inter hidden\n"
    "mlp.shared_expert.down_proj.weight:hidden shared_inter\nmlp.shared_expert_gate.weight:1 hidden"
)
_QWEN2_MOE = Family(
    top=_rows(_TOP), layer=_rows(f"{_NORMS}\n{_ATTENTION}"), dense=_rows(_GATED), sparse=_rows(f"{_ROUTER}\n{_SHARED}"),
    expert=_rows(_EXPERT), kv_heads_default=False,
)  # fmt: skip
_QWEN3_MOE = Family(
    top=_rows(_TOP), layer=_rows(f"{_NORMS}\n{_ATTENTION}\n{_HEAD_NORMS}"), dense=_rows(_GATED), sparse=_rows(_ROUTER),
    expert=_rows(_EXPERT), kv_heads_default=False,
)  # fmt: skip
_OLMOE = Family(
    top=_rows(_TOP), layer=_rows(f"{_NORMS}\n{_ATTENTION}\n{_WIDE_NORMS}\n{_ROUTER}"),
    expert=_rows(_EXPERT.replace("moe_inter", "inter")),
)  # fmt: skip
_GPT_OSS = _decoder(
    _NORMS, _with_bias(f"{_QKV}\n{_OUT}", required=True), "self_attn.sinks:heads",
    "mlp.router.weight:experts hidden\nmlp.router.bias:experts",
    "mlp.experts.gate_up_proj:experts hidden inter2\nmlp.experts.gate_up_proj_bias:experts inter2",
    "mlp.experts.down_proj:experts inter hidden\nmlp.experts.down_proj_bias:experts hidden", kv_default=False,
)  # fmt: skip
_GPT2 = Family(
    top=_rows("wte.weight:vocab hidden\nwpe.weight:positions hidden\nln_f.weight:hidden\nln_f.bias:hidden"),
    layer=_rows(
        "ln_1.weight:hidden\nln_1.bias:hidden\nln_2.weight:hidden\nln_2.bias:hidden\n"
        "attn.c_attn.weight:hidden hidden3\nattn.c_attn.bias:hidden3\nattn.c_proj.weight:hidden hidden\n"
        "attn.c_proj.bias:hidden\nmlp.c_fc.weight:hidden inter\nmlp.c_fc.bias:inter\nmlp.c_proj.weight:inter hidden\n"
        "mlp.c_proj.bias:hidden"
    ),
    roots=("transformer.", ""), layers="h.", tied=True,
)  # fmt: skip
_NEOX = Family(
    top=_rows("embed_in.weight:vocab hidden\nfinal_layer_norm.weight:hidden\nfinal_layer_norm.bias:hidden"),
    layer=_rows(
        f"{_NORMS}\n{_NORM_BIASES}\nattention.query_key_value.weight:hidden3 hidden\n"
        "?attention.query_key_value.bias:hidden3\nattention.dense.weight:hidden hidden\n?attention.dense.bias:hidden\n"
        + _with_bias("mlp.dense_h_to_4h.weight:inter hidden\nmlp.dense_4h_to_h.weight:hidden inter", required=True)
    ),
    roots=("gpt_neox.", ""), head="embed_out.weight",
)  # fmt: skip
_OPT = Family(
    top=_rows("embed_tokens.weight:vocab embed\nembed_positions.weight:positions2 hidden\n"
              "?final_layer_norm.weight:hidden\n?final_layer_norm.bias:hidden\n?project_in.weight:hidden embed\n"
              "?project_out.weight:embed hidden"),
    layer=_rows(
        _with_bias(_QKV.replace(":kv", ":hidden").replace(":q ", ":hidden "))
        + "\nself_attn.out_proj.weight:hidden hidden\n?self_attn.out_proj.bias:hidden\n"
        "self_attn_layer_norm.weight:hidden\nself_attn_layer_norm.bias:hidden\nfinal_layer_norm.weight:hidden\n"
        "final_layer_norm.bias:hidden\n" + _with_bias("fc1.weight:inter hidden\nfc2.weight:hidden inter")
    ),
    roots=("model.decoder.", "decoder.", ""), tied=True,
)  # fmt: skip
_BERT = Family(
    top=_rows(
        "embeddings.word_embeddings.weight:vocab hidden\n?embeddings.position_embeddings.weight:positions hidden\n"
        "?embeddings.token_type_embeddings.weight:types hidden\n?embeddings.LayerNorm.weight:hidden\n"
        "?embeddings.LayerNorm.bias:hidden"
    ),
    layer=_rows(
        _with_bias(
            "attention.self.query.weight:hidden hidden\nattention.self.key.weight:hidden hidden\n"
            "attention.self.value.weight:hidden hidden\nattention.output.dense.weight:hidden hidden\n"
            "intermediate.dense.weight:inter hidden\noutput.dense.weight:hidden inter", required=True,
        )
        # Older checkpoints call a norm's two vectors gamma and beta.
        + "".join(
            f"\n?{place}.LayerNorm.{name}:hidden"
            for place in ("attention.output", "output") for name in ("weight", "bias", "gamma", "beta")
        )
    ),
    roots=("", "bert.", "roberta.", "model."), layers="encoder.layer.", head="",
)  # fmt: skip

FAMILIES: dict[str, Family] = {
    "Llama": _LLAMA, "SmolLM3": _LLAMA, "Granite": _LLAMA, "InternLM3": _LLAMA, "Aquila": _LLAMA, "Yi": _LLAMA,
    "Mistral": _MISTRAL, "Mistral3": _MISTRAL, "Ministral": _MISTRAL, "Qwen2": _QWEN2, "Qwen2_5_VL": _QWEN2,
    "Qwen2VL": _QWEN2, "Qwen3": _QWEN3, "Phi3": _PHI3, "Gemma": _GEMMA, "Gemma2": _GEMMA2, "Gemma3": _GEMMA3,
    "Gemma3Text": _GEMMA3, "Olmo": _OLMO, "Olmo2": _OLMO2, "Olmo3": _OLMO2, "StableLm": _STABLELM,
    "Starcoder2": _STARCODER2, "Cohere": _COHERE, "Cohere2": _COHERE, "Mixtral": _MIXTRAL, "Qwen2Moe": _QWEN2_MOE,
    "Qwen3Moe": _QWEN3_MOE, "Olmoe": _OLMOE, "GptOss": _GPT_OSS, "GPT2": _GPT2, "GPTNeoX": _NEOX, "OPT": _OPT,
    "Bert": _BERT, "Roberta": _BERT, "XLMRoberta": _BERT, "Camembert": _BERT,
}  # fmt: skip
_TAILS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSequenceClassification",
          "ForTokenClassification", "ForMaskedLM", "ForRewardModel", "Model")  # fmt: skip


def family_of(architecture: str) -> Family | None:
    """The tables for an architecture as `config.json` names it; None if it is not known here."""
    for tail in _TAILS:
        if architecture.endswith(tail):
            return FAMILIES.get(architecture.removesuffix(tail))
    return None
