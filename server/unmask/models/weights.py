"""Tensors of a checkpoint, with errors that name every missing, unexpected or misshapen one."""

import ctypes
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.adapted import AdaptedTensor
from unmask.models.affine import AffineTensor
from unmask.models.bit_stream import NIBBLE_BITS
from unmask.models.compressed import CompressedTensor
from unmask.models.copies import Stored, are_copies
from unmask.models.matrices import (
    Matrix,
    Weight,
    concatenated,
    dtype_name,
    held_format,
    to_one_format,
)
from unmask.models.packed import PackedTensor
from unmask.models.quantized import Quantized, join_quantized
from unmask.models.shards import StoredTensor, open_shards
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.four_bits import holds_four_bits
from unmask_kernels.linear.ops import GatedLinear, Linear, make_gated_linear, make_linear
from unmask_kernels.quantization.four_bits import FourBitWeight, quantize_int4
from unmask_kernels.quantization.ops import multiplies_fp8, quantize
from unmask_kernels.quantization.types import Quantization, QuantizedWeight

Progress = Callable[[str, int, int], None]
MatrixFormat = Literal["auto", "none"] | Quantization
WeightFormat = MatrixFormat | Literal["int4"]
Held = TypeVar("Held", Tensor, QuantizedWeight, FourBitWeight)
# Buffers of RoPE, which is computed.
UNUSED = re.compile(r"rotary_(pos_)?emb\.((original_)?inv_freq|(cos|sin)_cached)$")
STACKED = StoredTensor | CompressedTensor | PackedTensor | AffineTensor | AdaptedTensor
MAX_LISTED = 3  # problems that differ only in the layer
MAX_PLACEHOLDERS = 2**24  # elements of missing or misshapen tensors


class Weights:
    """Tensors of a checkpoint; a model takes each by name and shape, which reads it.

    `quantization` is the format of linear weights in memory: as stored ("auto"), dequantized
    ("none"), an 8-bit kind, or "int4", which leaves experts as stored.
    """

    def __init__(
        self,
        tensors: Mapping[str, Stored],
        dtype: torch.dtype,
        device: torch.device,
        *,
        quantization: WeightFormat = "auto",
        progress: Progress | None = None,
    ) -> None:
        self._tensors = dict(tensors)
        self._adapted: set[str] = set()
        self._problems: list[str] = []
        self._progress = progress
        self._all_bytes = sum(_num_bytes(tensor) for tensor in self._tensors.values())
        self._done_bytes = 0
        self._num_quantized = 0
        self._num_placeholders = 0
        self.expert_bytes: dict[torch.dtype, int] = {}  # of all experts, by dtype
        # Memory of linear layers and experts as they are read, by stored and by held format.
        self.held_bytes: dict[tuple[str, str], int] = {}
        self.dtype = dtype
        self.device = device
        self.quantization = quantization
        self.num_tokens: int | None = None  # outputs that the LM head is cut to
        self.with_images = True  # a vision tower is read
        self.folder: Path | None = None  # of a checkpoint, where adapters may be beside its weights

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        dtype: torch.dtype,
        device: torch.device,
        progress: Progress | None = None,
        *,
        quantization: WeightFormat = "auto",
        compression: Mapping[str, Any] | None = None,
    ) -> "Weights":
        """Map the safetensors files of a folder; `progress` gets a label, bytes done and all bytes.

        `compression` is the `quantization_config` of its `config.json`. Raises `InvalidCheckpoint`.
        """
        tensors = join_quantized(open_shards(folder), compression)
        weights = cls(tensors, dtype, device, quantization=quantization, progress=progress)
        weights.folder = folder
        return weights

    def has(self, name: str) -> bool:
        """True if a tensor exists and was not taken yet."""
        return name in self._tensors

    @property
    def names(self) -> Collection[str]:
        """Names of all tensors that were not taken yet."""
        return self._tensors.keys()

    def stored(self, name: str) -> Stored | None:
        """A tensor that was not taken yet, unread; None if there is none."""
        return self._tensors.get(name)

    def adapt(self, name: str, tensor: AdaptedTensor) -> None:
        """Put an adapted tensor in place of the checkpoint's; it must be taken, not dropped."""
        self._all_bytes += tensor.num_bytes - _num_bytes(self._tensors[name])
        self._tensors[name] = tensor
        self._adapted.add(name)

    def note_shared(self, name: str, others: str) -> None:
        """Note that a tensor is used as `others` too, so that no adapter may change it alone."""
        if name in self._adapted:
            self._problems.append(f"{name} is adapted, but it is {others} too")

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        """Remove and read a tensor; `check_all_taken` raises if it is missing or misshapen."""
        dtype = dtype or self.dtype
        tensor = self._pop(name, shape)
        if tensor is None:
            # A placeholder of zeros, so that one error lists all problems.
            self._num_placeholders += math.prod(shape)
            if self._num_placeholders > MAX_PLACEHOLDERS:
                raise self._mismatch([*self._problems, "and more that were not checked"])
            return torch.zeros(shape, dtype=dtype, device=self.device)
        value = tensor.to(self.device, dtype)
        self._report(tensor)
        return value

    def take_optional(
        self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor | None:
        """`take`, or None if there is no such tensor."""
        return self.take(name, shape, dtype) if self.has(name) else None

    def take_linear(
        self,
        names: Sequence[str],
        num_outputs: Sequence[int],
        num_inputs: int,
        *,
        bias: bool = False,
        permutation: Tensor | None = None,
    ) -> Linear:
        """Linear layers as one product; `names` are without `.weight` and `.bias`.

        Outputs are concatenated, then reordered by `permutation` [N].
        """
        parts = list(zip(names, num_outputs, strict=True))
        weights = [self._linear(f"{n}.weight", (out, num_inputs)) for n, out in parts]
        weight = concatenated(weights, self.dtype)
        biases = [self.take(f"{n}.bias", (out,)) for n, out in parts] if bias else []
        joined_bias = torch.cat(biases) if bias else None
        if permutation is not None:
            rows = permutation.to(self.device)
            weight = weight[rows] if isinstance(weight, Tensor) else weight.ordered(rows)
            joined_bias = None if joined_bias is None else joined_bias[rows]
        return make_linear(weight, joined_bias, self.dtype)

    def take_gated(
        self,
        gate: str,
        up: str,
        num_outputs: int,
        num_inputs: int,
        activation: Activation = "silu",
    ) -> GatedLinear:
        """Gate and up projections as one gated product."""
        shape = (num_outputs, num_inputs)
        weights = [self._linear(name, shape) for name in (gate, up)]
        gate_weight, up_weight = to_one_format(weights, self.dtype)
        return make_gated_linear(gate_weight, up_weight, activation, self.dtype)

    def take_matrices(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]]
    ) -> Iterator[Matrix]:
        """Matrices one by one, all in one format: one 8-bit kind, or not quantized.

        With `auto` they keep their stored format if all of them have the same.
        """
        weight_format: MatrixFormat = "auto" if self.quantization == "int4" else self.quantization
        grouped = self._have_one_format(names, shapes, grouped=True)
        if weight_format == "auto" and not grouped:
            is_one = self._have_one_format(names, shapes, grouped=False)
            weight_format = "auto" if is_one else "none"
        for name, shape in zip(names, shapes, strict=True):
            yield self._matrix(name, shape, weight_format, grouped=grouped)

    def record_experts(self, num_bytes: Mapping[torch.dtype, int]) -> None:
        """Add the memory of a layer's experts to `expert_bytes`."""
        for dtype, count in num_bytes.items():
            self.expert_bytes[dtype] = self.expert_bytes.get(dtype, 0) + count

    def split(self, name: str, shape: tuple[int, ...], parts: Sequence[str]) -> None:
        """Split a tensor [E, ...] along its first dimension into tensors named `parts`."""
        tensor = self._pop(name, shape)
        for index, part in enumerate(parts):
            if part in self._tensors:
                self._problems.append(f"{part} is in {name} too")
            if isinstance(tensor, STACKED):
                self._tensors[part] = tensor.select(index)
            elif isinstance(tensor, Tensor):
                self._tensors[part] = tensor[index]
            else:
                # `_pop` has recorded a missing tensor; its parts need not be reported too.
                self._tensors[part] = torch.zeros(()).expand(shape[1:])

    def cut_head(self, weight: Tensor) -> Tensor:
        """LM head weight [V, C] cut to the first `num_tokens` outputs."""
        return weight if self.num_tokens is None else weight[: self.num_tokens]

    def drop(self, name: str) -> None:
        """Ignore a tensor if it exists, such as a tied LM head saved twice."""
        if (tensor := self._tensors.pop(name, None)) is not None:
            self._report(tensor)
            if name in self._adapted:
                self._problems.append(f"{name} is adapted, but the model does not use it")

    def drop_copy(self, name: str, original: str) -> None:
        """`drop` a copy of a tensor that was not taken yet; one that differs is a problem."""
        copy, kept = self._tensors.get(name), self._tensors.get(original)
        is_adapted = name in self._adapted
        if not (copy is None or kept is None or is_adapted or are_copies(copy, kept)):
            self._problems.append(
                f"{name} differs from {original}, though config.json ties them "
                "(tie_word_embeddings, or LLaDA's weight_tying); if both are meant, set that to "
                "false with --hf-overrides"
            )
        self.drop(name)

    def drop_prefix(self, prefix: str) -> None:
        """Ignore all tensors with a prefix, such as those of a vision tower."""
        for name in [name for name in self._tensors if name.startswith(prefix)]:
            self.drop(name)

    def check_all_taken(self) -> None:
        """Raise `InvalidCheckpoint` that lists every problem, unexpected tensors included.

        Empty tensors are allowed: some checkpoints have shared experts of width zero.
        """
        left = {
            name: tensor
            for name, tensor in self._tensors.items()
            if _num_bytes(tensor) and not UNUSED.search(name)
        }
        unexpected = [f"unexpected {name} {tuple(left[name].shape)}" for name in left]
        if problems := self._problems + unexpected:
            raise self._mismatch(problems)
        if self.quantization not in ("auto", "none") and not self._num_quantized:
            raise InvalidCheckpoint(
                f"no weight of this family can be quantized to {self.quantization}"
            )

    def close(self) -> None:
        """Release the files, and return freed memory to the system where glibc keeps it."""
        self._tensors.clear()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None:
            trim(0)  # without it glibc keeps a tenth of the weights' size and more

    def _have_one_format(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]], *, grouped: bool
    ) -> bool:
        """True if all matrices are stored in one 8-bit kind that products take.

        Each has one scale an output, or, with `grouped`, each has scales of groups of inputs.
        """
        kinds = set()
        for name, shape in zip(names, shapes, strict=True):
            stored = self._tensors.get(name)
            if not _is_usable(stored, shape, grouped=grouped):
                return False
            if grouped and (stored.per_output or not multiplies_fp8(self.device, shape[1])):
                return False
            kinds.add(stored.kind)
        return len(kinds) == 1

    def _linear(self, name: str, shape: tuple[int, int]) -> Weight:
        """Weight [N, K] in the configured format, with group scales if products take them."""
        stored = self._tensors.get(name)
        if self.quantization in ("auto", "int4") and self._stays_in_four_bits(stored, shape):
            del self._tensors[name]
            self._num_quantized += 1
            weight = stored.in_four_bits(self.device)
            self._report(stored)
            return self._recorded(stored, weight)
        if self.quantization == "int4":
            self._num_quantized += 1
            return self._recorded(stored, quantize_int4(self.take(name, shape)))
        return self._matrix(name, shape, self.quantization, grouped=True)

    def _matrix(
        self,
        name: str,
        shape: tuple[int, int],
        weight_format: MatrixFormat,
        *,
        grouped: bool = False,
    ) -> Matrix:
        stored = self._tensors.get(name)
        grouped = grouped and multiplies_fp8(self.device, shape[1])
        if _is_usable(stored, shape, grouped=grouped) and weight_format in ("auto", stored.kind):
            del self._tensors[name]
            self._num_quantized += 1
            weight = stored.quantized(self.device)
            self._report(stored)
            return self._recorded(stored, weight)
        dequantized = self.take(name, shape)
        if weight_format == "auto" or weight_format == "none":
            return self._recorded(stored, dequantized)
        self._num_quantized += 1
        return self._recorded(stored, quantize(dequantized, weight_format))

    def _stays_in_four_bits(
        self, stored: Stored | None, shape: tuple[int, int]
    ) -> TypeGuard[PackedTensor | AffineTensor]:
        """True if a weight [N, K] is stored in bits that products of 4 bits take."""
        if not isinstance(stored, PackedTensor | AffineTensor) or stored.shape != shape:
            return False
        if not holds_four_bits(self.device, shape, stored.num_groups):
            return False
        if stored.bits > NIBBLE_BITS:
            return False
        return isinstance(stored, AffineTensor) or stored.has_even_groups

    def _recorded(self, stored: Stored | None, held: Held) -> Held:
        """The weight, with its memory added to `held_bytes`."""
        if stored is not None:
            key = _format_of(stored), held_format(held)
            self.held_bytes[key] = self.held_bytes.get(key, 0) + held.nbytes
        return held

    def _pop(self, name: str, shape: tuple[int, ...]) -> Stored | None:
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            self._problems.append(f"missing {name} {shape}")
        elif tuple(tensor.shape) != shape:
            self._problems.append(f"{name} is {tuple(tensor.shape)}, expected {shape}")
        elif isinstance(tensor, StoredTensor) and not tensor.dtype.is_floating_point:
            self._problems.append(f"{name} is {dtype_name(tensor.dtype)}, and nothing scales it")
        else:
            return tensor
        return None

    def _mismatch(self, problems: Sequence[str]) -> InvalidCheckpoint:
        listed = "; ".join(_summary(problems))
        return InvalidCheckpoint(f"the weights do not match config.json: {listed}")

    def _report(self, tensor: Stored) -> None:
        self._done_bytes += _num_bytes(tensor)
        if self._progress is not None:
            self._progress("weights", self._done_bytes, self._all_bytes)


def _is_usable(
    stored: Stored | None,
    shape: tuple[int, int],
    *,
    grouped: bool,
) -> TypeGuard[CompressedTensor | PackedTensor]:
    """True if a weight [N, K] is stored with scales that products of 8 bits take."""
    if not isinstance(stored, CompressedTensor | PackedTensor) or stored.shape != shape:
        return False
    return stored.per_output or (grouped and stored.in_groups)


def _format_of(stored: Stored) -> str:
    """Format that a weight is stored in, for people."""
    if isinstance(stored, AdaptedTensor):
        return _format_of(stored.base)
    if isinstance(stored, Quantized):
        return stored.format
    return dtype_name(stored.dtype)


def _num_bytes(tensor: Stored) -> int:
    return tensor.nbytes if isinstance(tensor, Tensor) else tensor.num_bytes


def _summary(problems: Sequence[str]) -> list[str]:
    """Problems, with only the first `MAX_LISTED` of those that differ in the layer number."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", problem), []).append(problem)
    listed: list[str] = []
    for same_kind in kinds.values():
        listed += same_kind[:MAX_LISTED]
        if (num_more := len(same_kind) - MAX_LISTED) > 0:
            listed.append(f"and {num_more} more like it")
    return listed
