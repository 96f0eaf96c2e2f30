"""A fingerprint of weights that an engine's parameters and a revision's files share, whatever the engine made of them.

Engines stack the tensors of a file (q, k and v become one parameter), pad the vocabulary with zero rows, and name
things otherwise. What stays are the rows. So each row gets a hash of its own, and the digest is the sum of the hashes:
the order of rows and where they are kept do not matter, every bit in them does. A row's hash is multilinear,
h = Σ bits(x_i) · k_i mod 2^64 with fixed odd random k_i (Carter and Wegman, 1979); a mixing step keeps differences of
several rows from cancelling out, and a row of zeros counts as nothing. Values are taken as float32, to which the
narrower types widen without loss.

On a CPU vLLM packs linear layers for its kernels and drops the tensor. What such a layer holds shows in what it
computes: it is given fixed random vectors, and the sums of its outputs are compared with those of the file's tensors
(the idea of Freivalds, 1977), for each block of layers alone, within what the order of additions may change.

Where an engine keeps its weights in yet another form (quantised and repacked, split between GPUs), the fingerprints of
the very same weights differ: such an engine cannot be proved in place, and nobody must try.
"""

import math
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import torch

_PIECE_ELEMENTS = 4 * 2**20
_SEED = 0x5EED
_MASK = 2**64 - 1
_PROBES = 4
_TOLERANCE = 1e-4
"""Of a block's outputs' norm: float32 sums of thousands of terms differ by some 1e-6 of it with their order."""


class Fingerprint(Struct, frozen=True):
    """Of one set of weights. Compare with `same_weights`."""

    digest: str
    """16 hexadecimal digits over the rows that are kept as they are."""
    blocks: dict[str, tuple[float, ...]]
    """Of layers that are packed, by the name of the block that they are in: the sum of the outputs for each probe, and
    the outputs' norm."""


def same_weights(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two fingerprints are of the same weights."""
    if one.digest != other.digest or one.blocks.keys() != other.blocks.keys():
        return False
    return all(_close(sums, other.blocks[name]) for name, sums in one.blocks.items())


def _close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    margin = _TOLERANCE * max(one[-1], other[-1])
    return all(math.isfinite(a) and abs(a - b) <= margin for a, b in zip(one, other, strict=True))


def of_model(model: "torch.nn.Module") -> Fingerprint:
    """Of what a loaded model holds; parameters that layers share count once."""
    packed = [(name, layer) for name, layer in model.named_modules() if _is_packed(layer)]
    blocks = _Blocks()
    for name, layer in packed:
        width = layer.input_size_per_partition
        blocks.add(_block_of(name), layer.quant_method.apply(layer, _probes(width), None))
    return Fingerprint(_digest(parameter for _, parameter in model.named_parameters()), blocks.sums())


def of_files(folder: Path, dtype: str, *, tied: bool, packed: Container[str]) -> Fingerprint:
    """Of the safetensors below `folder`, as an engine holds them that computes in `dtype` (as torch names it).

    `tied`: the output layer is the embedding, so that a copy of it in the files is not loaded. `packed`: names of the
    blocks whose layers the engine has packed. Blocks while it reads.
    """
    import torch

    blocks = _Blocks()

    def rest() -> "Iterator[torch.Tensor]":
        for name, tensor in _tensors(folder, getattr(torch, dtype), tied=tied):
            block = _block_of(name.removesuffix(".weight"))
            if tensor.dim() == 2 and name.endswith(".weight") and block in packed:
                blocks.add(block, (tensor.to(torch.float32) @ _probes(tensor.shape[1]).T).T)
            else:
                yield tensor

    return Fingerprint(_digest(rest()), blocks.sums())


class FingerprintingWorker:
    """Adds a method to vLLM's workers (`worker_extension_cls`)."""

    model_runner: Any

    def fingerprint_weights(self) -> dict[str, Any]:
        """`Fingerprint` as plain data, since it goes from process to process."""
        import torch

        with torch.inference_mode():
            found = of_model(self.model_runner.get_model())
        return {"digest": found.digest, "blocks": found.blocks}


def _is_packed(layer: Any) -> bool:
    weight = getattr(layer, "weight", None)
    return weight is not None and weight.numel() == 0 and hasattr(layer, "quant_method")


def _block_of(layer: str) -> str:
    return layer.rpartition(".")[0]


class _Blocks:
    """Sums of outputs by block."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}

    def add(self, block: str, outputs: "torch.Tensor") -> None:
        """`outputs`: one row for each probe."""
        import torch

        wide = outputs.to(torch.float64)
        both = torch.cat([wide.sum(dim=1), wide.square().sum()[None]])
        self._sums[block] = self._sums[block] + both if block in self._sums else both

    def sums(self) -> dict[str, tuple[float, ...]]:
        return {name: (*both[:-1].tolist(), math.sqrt(both[-1].item())) for name, both in self._sums.items()}


def _tensors(folder: Path, dtype: "torch.dtype", *, tied: bool) -> "Iterator[tuple[str, torch.Tensor]]":
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                if not (tied and name.endswith("lm_head.weight")):
                    tensor = file.get_tensor(name)
                    yield name, tensor.to(dtype) if tensor.is_floating_point() else tensor


def _digest(tensors: "Iterable[torch.Tensor]") -> str:
    import torch

    keys: dict[tuple[int, torch.device], torch.Tensor] = {}
    total = 0
    with torch.inference_mode():
        for tensor in tensors:
            # A vector may be joined with others end to end: its elements are its rows.
            width = tensor.shape[-1] if tensor.dim() > 1 else 1
            rows = tensor.reshape(-1, width) if tensor.numel() else tensor.reshape(0, 1)
            place = (width, tensor.device)
            if place not in keys:
                keys[place] = _keys(width).to(tensor.device)
            step = max(1, _PIECE_ELEMENTS // max(1, width))
            for first in range(0, rows.shape[0], step):
                total += int(_hashes(rows[first : first + step], keys[place]).sum())
    return f"{total & _MASK:016x}"


def _keys(width: int) -> "torch.Tensor":
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    return torch.randint(-(2**62), 2**62, (width,), generator=generator, dtype=torch.int64) * 2 + 1


def _probes(width: int) -> "torch.Tensor":
    import torch

    return torch.randn(_PROBES, width, generator=torch.Generator().manual_seed(_SEED))


def _hashes(rows: "torch.Tensor", keys: "torch.Tensor") -> "torch.Tensor":
    """One int64 for each row; multiplication and sums wrap around."""
    import torch

    bits = rows.to(torch.float32).contiguous().view(torch.int32)
    hashed = (bits.to(torch.int64) * keys).sum(dim=1)
    # The finisher of SplitMix64 (Steele, Lea and Flood, 2014), with arithmetic shifts: int64 is what torch has.
    hashed = (hashed ^ (hashed >> 30)) * -4658895280553007687
    hashed = (hashed ^ (hashed >> 27)) * -7723592293110705685
    return hashed ^ (hashed >> 31)
