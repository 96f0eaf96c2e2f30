"""Looks into a model folder: can it be served, how large is it."""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from orchestrator.errors import ModelRejectedError

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class FolderFacts(Struct, frozen=True, kw_only=True):
    architecture: str
    max_model_len: int | None
    weights_bytes: int
    dtype_bytes: float
    """Bytes of one parameter as stored, from `torch_dtype`; 2 when the configuration does not say."""


def examine(folder: Path) -> FolderFacts:
    """What `config.json` and the file list tell. Raises ModelRejectedError naming the file at fault."""
    if not folder.is_dir():
        raise ModelRejectedError(f"There is no folder {folder}. Check the path.")
    config = _config(folder / "config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = [path.name for path in folder.iterdir() if path.suffix in _PICKLES]
        if pickles:
            raise ModelRejectedError(
                f"{pickles[0]} is a pickle, which can run code when it is loaded. Convert the weights to safetensors."
            )
        raise ModelRejectedError(f"{folder} holds no *.safetensors file, so there are no weights to serve.")
    _check_index(folder)
    empty = [path.name for path in weights if path.stat().st_size < 8]
    if empty:
        raise ModelRejectedError(f"{empty[0]} is empty or cut off. Copy it again.")
    return FolderFacts(
        architecture=config["architectures"][0],
        max_model_len=_context(config),
        weights_bytes=sum(path.stat().st_size for path in weights),
        dtype_bytes=4.0 if str(config.get("dtype") or config.get("torch_dtype")) == "float32" else 2.0,
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelRejectedError(
            f"{path.parent} is not a model: it has no config.json. Give the folder that holds config.json, "
            "the tokenizer and the *.safetensors files."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelRejectedError(f"config.json is not readable as JSON: {error}") from error
    if not isinstance(config, dict):
        raise ModelRejectedError("config.json is not a JSON object.")
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise ModelRejectedError("config.json names no architecture, so no engine can know how to load it.")
    if "auto_map" in config:
        raise ModelRejectedError("config.json asks to run code from the model (auto_map), which is refused.")
    return config


def _context(config: dict[str, Any]) -> int | None:
    text = config.get("text_config")
    value = config.get("max_position_embeddings") or (
        text.get("max_position_embeddings") if isinstance(text, dict) else None
    )
    return value if isinstance(value, int) else None


def _check_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        named = set(json.loads(index.read_text())["weight_map"].values())
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ModelRejectedError(f"{index.name} is not a weights index: {error}") from error
    missing = sorted(name for name in named if not (folder / name).is_file())
    if missing:
        raise ModelRejectedError(
            f"{missing[0]} is named in {index.name} but not there ({len(missing)} of {len(named)} files missing)."
        )
