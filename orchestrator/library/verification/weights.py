"""The weights of a folder: headers of all files, and whether they and the index agree."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.library.verification.header import Tensor, header_length, parse_header
from orchestrator.library.verification.inventory import ModelFile, open_plain
from orchestrator.library.verification.refusal import Code, Refusal, shown

INDEX = "model.safetensors.index.json"
MAX_TENSORS = 200_000
"""Of all files together: the largest mixtures of experts that are published have some 140,000."""
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d{1,5})\.safetensors")
_MODULE = re.compile(r"\d+_\w+/[^/]+")
"""A layer of an embedding model: `2_Dense/model.safetensors`."""
_AGAIN = "Download the missing or changed files again, and their index with them."


def read_tensors(folder: Path, files: Sequence[ModelFile], at: Callable[[str], None]) -> tuple[Tensor, ...]:
    """The tensors of all safetensors `files`. Raises Refusal, OSError, MemoryError."""
    tensors: list[Tensor] = []
    where: dict[str, str] = {}
    for file in files:
        at(file.path)
        for tensor in _read_header(folder, file):
            before = where.setdefault(tensor.name, file.path)
            if before != file.path:
                what = f"holds {shown(tensor.name)}, which {before} holds too"
                raise Refusal(Code.INDEX, file.path, what, "Keep one set of weights in the folder.")
            tensors.append(tensor)
        if len(tensors) > MAX_TENSORS:
            what = f"brings the number of tensors above {MAX_TENSORS:,}"
            raise Refusal(Code.TOO_MANY, file.path, what, "No engine is known to load so many.")
    return tuple(tensors)


def _read_header(folder: Path, file: ModelFile) -> tuple[Tensor, ...]:
    with open_plain(folder / file.path) as descriptor:
        length = header_length(file.path, os.pread(descriptor.number, 8, 0), file.size_bytes)
        header = os.pread(descriptor.number, length, 8)
    if len(header) != length:
        raise Refusal(Code.UNREADABLE, file.path, "changed while it was examined", "Try again when it is complete.")
    return parse_header(file.path, header, file.size_bytes)


def check_index(index: Any, tensors: Sequence[Tensor]) -> None:
    """Raises Refusal unless the parsed index and the files tell the same, both ways. PURE."""
    mapping = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(mapping, dict) or not all(isinstance(file, str) for file in mapping.values()):
        raise Refusal(Code.INDEX, INDEX, "has no weight_map of tensor names to file names", _AGAIN)
    _check_files(mapping, {tensor.file for tensor in tensors})
    where = {tensor.name: tensor.file for tensor in tensors}
    for name, file in mapping.items():
        if where.get(name) != file:
            place = f"it lies in {where[name]}" if name in where else "it is in none of the files"
            raise Refusal(Code.INDEX, INDEX, f"says that {shown(name)} lies in {shown(file)}, but {place}", _AGAIN)
    unknown = next((tensor for tensor in tensors if tensor.name not in mapping), None)
    if unknown is not None:
        what = f"holds {shown(unknown.name)}, of which {INDEX} does not know"
        raise Refusal(Code.INDEX, unknown.file, what, _AGAIN)
    _check_total(index.get("metadata"), tensors)


def _check_files(mapping: dict[str, str], there: set[str]) -> None:
    named = set(mapping.values())
    missing = sorted(named - there)
    if missing:
        what = f"is named in {INDEX} but not there ({len(missing)} of {len(named)} files are missing)"
        raise Refusal(Code.INDEX, missing[0], what, _AGAIN)
    extra = sorted(there - named)
    if extra:
        what = f"is not named in {INDEX}, so no engine would know what to do with it"
        raise Refusal(Code.INDEX, extra[0], what, "Remove it, or take the index that knows it.")


def _check_total(metadata: Any, tensors: Sequence[Tensor]) -> None:
    if metadata is None:
        return
    total = metadata.get("total_size") if isinstance(metadata, dict) else metadata
    if total is None:
        return
    held = sum(tensor.end - tensor.begin for tensor in tensors)
    # Tied tensors are counted once or twice, and some tools write the number as a float.
    plausible = isinstance(total, int | float) and not isinstance(total, bool) and held / 2 <= total <= held * 2
    if not plausible:
        what = f"says that the weights have {str(total)[:40]} bytes, and they have {held:,}"
        raise Refusal(Code.INDEX, INDEX, what, _AGAIN)


def choose_weights(files: Sequence[ModelFile]) -> tuple[tuple[ModelFile, ...], tuple[ModelFile, ...]]:
    """The safetensors files that an engine loads (those beside config.json), and the others. Raises Refusal. PURE."""
    weights = tuple(file for file in files if file.path.endswith(".safetensors"))
    nested = next((file for file in weights if "/" in file.path and not _MODULE.fullmatch(file.path)), None)
    if nested is not None:
        what = "lies in a folder of its own, where no engine looks for weights"
        raise Refusal(Code.KIND, nested.path, what, "Remove it, or move it beside config.json.")
    # Mistral publishes its weights a second time under this name; engines load the others.
    main = tuple(file for file in weights if "/" not in file.path and not file.path.startswith("consolidated"))
    main = main or tuple(file for file in weights if "/" not in file.path)
    if not main:
        what = "has no *.safetensors file beside it, so there are no weights to serve"
        raise Refusal(Code.NO_WEIGHTS, "config.json", what, "Give the folder that holds the weights too.")
    _check_shards([file.path for file in main])
    return main, tuple(file for file in weights if file not in main)


def _check_shards(names: Sequence[str]) -> None:
    """Raises Refusal if of files named `…-00001-of-00003` not all are there."""
    for name in names:
        match = _SHARD.fullmatch(name)
        if match is None:
            continue
        prefix, total = match[1], match[3]
        wanted = (f"{prefix}-{number:0{len(total)}}-of-{total}.safetensors" for number in range(1, int(total) + 1))
        missing = next((each for each in wanted if each not in names), None)
        if missing is not None:
            raise Refusal(Code.INDEX, missing, f"is not there, and {name} is one of {int(total)}", _AGAIN)
