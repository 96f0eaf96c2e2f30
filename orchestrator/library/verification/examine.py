"""Examines a model folder from the cheapest question to the dearest; the first fault ends it.

Runs in the process that asks, without limits of its own on memory: `verify` runs it in one that has them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.library.verification import config as configuration
from orchestrator.library.verification.budget import Watch
from orchestrator.library.verification.config import Config, read_config, refuse_foreign_modules, refuse_remote_code
from orchestrator.library.verification.facts import ModelFacts
from orchestrator.library.verification.header import DTYPE_BITS, Tensor
from orchestrator.library.verification.inventory import ModelFile, read_whole, take_stock
from orchestrator.library.verification.kinds import MAX_BYTES, Kind
from orchestrator.library.verification.refusal import Code, Refusal
from orchestrator.library.verification.sampling import check_finite
from orchestrator.library.verification.shapes import check_shapes, dimensions, is_tied
from orchestrator.library.verification.strict_json import JsonFaultError, decode
from orchestrator.library.verification.tokenizer import check_tokenizer
from orchestrator.library.verification.weights import INDEX, check_index, choose_weights, read_tensors

SILENT = Watch(at=lambda _file: None)
_MAX_TEMPLATE_CHARS = MAX_BYTES[Kind.TEMPLATE]
_MAX_TEMPLATES = 8
_PUBLISHED = "Take the file that was published with the model."


def examine(folder: Path, watch: Watch = SILENT) -> ModelFacts:
    """Facts of the model in `folder`. Raises Refusal; OSError, MemoryError, and RecursionError of a hostile file.

    Main thread only: the CPU time of tokenizer and template is bounded by a signal.
    """
    files = take_stock(folder, watch.at)
    settings = _read_settings(folder, files, watch)
    if configuration.NAME not in settings:
        remedy = "Give the folder that holds config.json, the tokenizer and the *.safetensors files."
        raise Refusal(Code.CONFIG, configuration.NAME, "is not there, so this is not a model", remedy)
    watch.at(configuration.NAME)
    config = read_config(settings[configuration.NAME])
    weights, others = choose_weights(files)
    _check_texts(folder, files, watch)
    tensors = read_tensors(folder, weights, watch.at)
    for file in others:
        read_tensors(folder, (file,), watch.at)
    if any(file.path == INDEX for file in files):
        watch.at(INDEX)
        check_index(_decode_file(folder, next(file for file in files if file.path == INDEX)), tensors)
    watch.at(weights[0].path)
    warnings = check_shapes(config, tensors)
    check_finite(folder, tensors, watch.at)
    templates = _templates(folder, files, settings)
    _check_templates(templates, settings.get("tokenizer_config.json"), watch)
    warnings += check_tokenizer(folder, files, dimensions(config)["vocab"], watch)
    if others:
        warnings += (f"{others[0].path} is not loaded by the engine.",)
    embedder = any(file.path == "modules.json" for file in files)
    return _facts(config, tensors, embedder, bool(templates), warnings)


def _decode_file(folder: Path, file: ModelFile) -> Any:
    try:
        return decode(read_whole(folder, file))
    except JsonFaultError as error:
        raise Refusal(Code.JSON, file.path, str(error), _PUBLISHED) from None


def _read_settings(folder: Path, files: Sequence[ModelFile], watch: Watch) -> dict[str, Any]:
    """All JSON files but tokenizers and the index, parsed, none of them asking for code.

    Indexes of other names (`pytorch_model.bin.index.json` is left over from many a download) are not read by engines.
    """
    settings = {}
    for file in files:
        if file.kind is Kind.JSON or (file.kind is Kind.INDEX and file.path != INDEX):
            watch.at(file.path)
            value = _decode_file(folder, file)
            refuse_remote_code(file.path, value)
            if file.path == "modules.json":
                refuse_foreign_modules(file.path, value)
            settings[file.path] = value
    return settings


def _check_texts(folder: Path, files: Sequence[ModelFile], watch: Watch) -> None:
    for file in files:
        if file.kind not in (Kind.TEXT, Kind.TOKENS, Kind.TEMPLATE):
            continue
        watch.at(file.path)
        data = read_whole(folder, file)
        if b"\0" in data or _not_utf8(data):
            raise Refusal(Code.TEXT, file.path, "is not plain text (UTF-8)", _PUBLISHED)


def _not_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _templates(folder: Path, files: Sequence[ModelFile], settings: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(file, name, source) of every chat template in the folder."""
    from orchestrator.library.verification.template import named_templates

    found = []
    for path in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        value = settings.get(path)
        if not isinstance(value, dict) or value.get("chat_template") is None:
            continue
        named = named_templates(value["chat_template"])
        if named is None:
            raise Refusal(Code.TEMPLATE, path, "has a chat_template that is neither text nor named texts", _PUBLISHED)
        found += [(path, name, source) for name, source in named.items()]
    for file in files:
        if file.kind is Kind.TEMPLATE:
            name = "default" if file.path == "chat_template.jinja" else file.name
            found.append((file.path, name, read_whole(folder, file).decode()))
    return found


def _check_templates(templates: Sequence[tuple[str, str, str]], settings: Any, watch: Watch) -> None:
    if not templates:
        return
    from orchestrator.library.verification.template import RENDER_S, check_template, special_tokens

    tokens = special_tokens(settings) if isinstance(settings, dict) else {}
    if len(templates) > _MAX_TEMPLATES:
        what = f"holds one of more than {_MAX_TEMPLATES} chat templates"
        raise Refusal(Code.TEMPLATE, templates[_MAX_TEMPLATES][0], what, _PUBLISHED)
    seconds = RENDER_S / min(4, len(templates))
    for file, name, source in templates:
        if len(source) > _MAX_TEMPLATE_CHARS:
            what = f"has a chat template of {len(source):,} characters; at most {_MAX_TEMPLATE_CHARS:,} are read"
            raise Refusal(Code.TEMPLATE, file, what, _PUBLISHED)
        check_template(file, source, tokens, watch, strict=name == "default", seconds=seconds)


def _facts(config: Config, tensors: Sequence[Tensor], embedder: bool, template: bool,
           warnings: tuple[str, ...]) -> ModelFacts:  # fmt: skip
    dims = dimensions(config)
    held: dict[str, int] = {}
    for tensor in tensors:
        held[tensor.dtype] = held.get(tensor.dtype, 0) + tensor.end - tensor.begin
    dtype = max(held, key=lambda each: held[each])
    window = config.text.get("sliding_window") if config.text.get("use_sliding_window", True) else None
    return ModelFacts(
        architecture=config.architecture,
        task=configuration.task_of(config.architecture, embedder),
        max_model_len=config.size("max_position_embeddings", "n_positions", "max_seq_len"),
        weights_bytes=sum(held.values()),
        parameters=sum(_parameters(tensor, config) for tensor in tensors),
        dtype=dtype,
        dtype_bytes=DTYPE_BITS[dtype] / 8,
        quantization=config.quantization,
        tensors=len(tensors),
        hidden_size=dims["hidden"],
        intermediate_size=dims["inter"],
        layers=dims["layers"],
        attention_heads=dims["heads"],
        kv_heads=dims["kv_heads"],
        head_dim=dims["head_dim"],
        vocab_size=dims["vocab"],
        experts=dims["experts"],
        sliding_window=window if isinstance(window, int) else None,
        tied_embeddings=bool(is_tied(config)),
        has_chat_template=template,
        sees_images=isinstance(config.text.get("vision_config"), dict),
        warnings=warnings,
    )


_NOT_WEIGHTS = ("scales", "scale", "scale_inv", "qzeros", "g_idx", "absmax", "quant_map", "zero_point", "weight_shape")


def _parameters(tensor: Tensor, config: Config) -> int:
    if not config.quantization or tensor.dtype.startswith(("BF", "F16", "F32", "F8")):
        return 0 if config.quantization and tensor.name.endswith(_NOT_WEIGHTS) else tensor.elements
    if tensor.name.endswith(_NOT_WEIGHTS):
        return 0
    return tensor.elements * DTYPE_BITS[tensor.dtype] // (config.bits or DTYPE_BITS[tensor.dtype])
