"""The tensors of a checkpoint, with every missing, unexpected or misshapen one named."""

import ctypes
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.compressed import CompressedTensor, join_scales
from unmask.models.shards import StoredTensor, open_shards
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.ops import GatedLinear, Linear, make_gated_linear, make_linear
from unmask_kernels.native.memory import reserve
from unmask_kernels.quantization.ops import dequantize, join, multiplies_fp8, quantize
from unmask_kernels.quantization.types import DTYPES, Quantization, QuantizedWeight

Progress = Callable[[str, int, int], None]
Held = Literal["auto", "none"] | Quantization
Matrix = Tensor | QuantizedWeight
MOST_ALIKE = 3
MAX_STAND_INS = 2**24  # numbers of tensors that are missing or misshapen


class Weights:
    """The tensors of a checkpoint, read one by one as the model that knows their shapes takes them.

    `quantization` says how the weights of linear layers are held: auto as they are stored.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor | StoredTensor | CompressedTensor],
        dtype: torch.dtype,
        device: torch.device,
        *,
        quantization: Held = "auto",
        progress: Progress | None = None,
    ) -> None:
        self._tensors = dict(tensors)
        self._problems: list[str] = []
        self._progress = progress
        self._all_bytes = sum(_num_bytes(tensor) for tensor in self._tensors.values())
        self._done_bytes = 0
        self._num_quantized = 0
        self._num_stand_ins = 0
        self.expert_bytes: dict[torch.dtype, int] = {}  # of all experts, by how they are held
        self.dtype = dtype
        self.device = device
        self.quantization = quantization
        self.num_tokens: int | None = None  # logits that a head is cut to

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        dtype: torch.dtype,
        device: torch.device,
        progress: Progress | None = None,
        *,
        quantization: Held = "auto",
        compression: Mapping[str, Any] | None = None,
    ) -> "Weights":
        """Map the safetensors files of a folder; `progress` gets name, bytes done and all.

        `compression` is `quantization_config` of its `config.json`. Raises `InvalidCheckpoint`.
        """
        tensors = join_scales(open_shards(folder), compression)
        return cls(tensors, dtype, device, quantization=quantization, progress=progress)

    def has(self, name: str) -> bool:
        """Whether a tensor is there and was not taken."""
        return name in self._tensors

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Remove and read a tensor; what is wrong with it is told by `check_all_taken`."""
        tensor = self._pop(name, shape)
        if tensor is None:
            # Zeros stand in for it, so that other problems are told too, while they are few.
            self._num_stand_ins += math.prod(shape)
            if self._num_stand_ins > MAX_STAND_INS:
                raise self._misfit([*self._problems, "and more was not looked at"])
            return torch.zeros(shape, dtype=self.dtype, device=self.device)
        found = tensor.to(self.device, self.dtype)
        self._report(tensor)
        return found

    def take_optional(self, name: str, shape: tuple[int, ...]) -> Tensor | None:
        """As `take`; None if there is no such tensor."""
        return self.take(name, shape) if self.has(name) else None

    def take_linear(
        self,
        names: Sequence[str],
        num_outputs: Sequence[int],
        num_inputs: int,
        *,
        bias: bool = False,
        order: Tensor | None = None,
    ) -> Linear:
        """Layers of these names, without `.weight` and `.bias`, as one product, held as asked.

        Its outputs are those of the layers in turn, or as `order` [N] has them.
        """
        parts = list(zip(names, num_outputs, strict=True))
        weights = [self._linear(f"{n}.weight", (out, num_inputs)) for n, out in parts]
        weight = self._joined(weights)
        biases = [self.take(f"{n}.bias", (out,)) for n, out in parts] if bias else []
        added = torch.cat(biases) if bias else None
        if order is not None:
            order = order.to(self.device)
            weight = weight[order] if isinstance(weight, Tensor) else weight.ordered(order)
            added = None if added is None else added[order]
        return make_linear(weight, added)

    def take_gated(
        self,
        gate: str,
        up: str,
        num_outputs: int,
        num_inputs: int,
        activation: Activation = "silu",
    ) -> GatedLinear:
        """Two layers' weights, held as asked, of which the first gates the other."""
        shape = (num_outputs, num_inputs)
        first, second = self._alike([self._linear(name, shape) for name in (gate, up)])
        return make_gated_linear(first, second, activation)

    def take_alike(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]]
    ) -> Iterator[Matrix]:
        """Matrices one by one, held as asked: all in 8 bits of one kind, or all whole.

        `auto` holds them as they are stored where all of them are stored alike.
        """
        held = self.quantization
        grouped = self._are_stored_alike(names, shapes, grouped=True)
        if held == "auto" and not grouped:
            held = "auto" if self._are_stored_alike(names, shapes, grouped=False) else "none"
        for name, shape in zip(names, shapes, strict=True):
            yield self._matrix(name, shape, held, grouped=grouped)

    def note_experts(self, num_bytes: Mapping[torch.dtype, int]) -> None:
        """Count memory of experts, for whoever tells of it."""
        for dtype, own in num_bytes.items():
            self.expert_bytes[dtype] = self.expert_bytes.get(dtype, 0) + own

    def split(self, name: str, shape: tuple[int, ...], parts: Sequence[str]) -> None:
        """Give the entries of a tensor [E, ...] names of their own, to be taken one by one."""
        tensor = self._pop(name, shape)
        for index, part in enumerate(parts):
            if isinstance(tensor, StoredTensor | CompressedTensor):
                self._tensors[part] = tensor.part(index)
            else:  # what is missing was noted
                missing = torch.zeros(()).expand(shape[1:])
                self._tensors[part] = missing if tensor is None else tensor[index]

    def cut_head(self, weight: Tensor) -> Tensor:
        """A head's weight [V, C] without the outputs of ids that have no text."""
        return weight if self.num_tokens is None else weight[: self.num_tokens]

    def drop(self, name: str) -> None:
        """Ignore a tensor that may be there, such as a tied head saved twice."""
        if (tensor := self._tensors.pop(name, None)) is not None:
            self._report(tensor)

    def drop_prefix(self, prefix: str) -> None:
        """Ignore every tensor whose name begins so, such as those of a vision tower."""
        for name in [name for name in self._tensors if name.startswith(prefix)]:
            self.drop(name)

    def check_all_taken(self) -> None:
        """Raise `InvalidCheckpoint` that lists every problem, unexpected tensors included.

        Those without numbers are none: so some authors' code saves shared experts of no width.
        """
        left = {name: tensor for name, tensor in self._tensors.items() if _num_bytes(tensor)}
        unexpected = [f"unexpected {name} {tuple(left[name].shape)}" for name in left]
        if problems := self._problems + unexpected:
            raise self._misfit(problems)
        if self.quantization in DTYPES and not self._num_quantized:
            raise InvalidCheckpoint(f"no weight of this family can be held as {self.quantization}")

    def close(self) -> None:
        """Give the memory that loading no longer needs back to the system, where it keeps any."""
        self._tensors.clear()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None:
            trim(0)  # glibc keeps what was freed between weights, a tenth of them and more

    def _are_stored_alike(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]], *, grouped: bool
    ) -> bool:
        """Whether all of some weights are stored in 8 bits of one kind, for products to use.

        That is with a scale for each output, or, `grouped`, for groups of inputs of all of them.
        """
        kinds = set()
        for name, shape in zip(names, shapes, strict=True):
            stored = self._tensors.get(name)
            if not _can_be_held(stored, shape, grouped=grouped):
                return False
            if grouped and (stored.per_output or not multiplies_fp8(self.device, shape[1])):
                return False
            kinds.add(stored.kind)
        return len(kinds) == 1

    def _linear(self, name: str, shape: tuple[int, int]) -> Matrix:
        """A matrix held as asked, with the scales of groups where products use them."""
        return self._matrix(name, shape, self.quantization, grouped=True)

    def _matrix(
        self, name: str, shape: tuple[int, int], kind: Held, *, grouped: bool = False
    ) -> Matrix:
        """The weight of a linear layer, in 8 bits where it is held so."""
        stored = self._tensors.get(name)
        grouped = grouped and multiplies_fp8(self.device, shape[1])
        if _can_be_held(stored, shape, grouped=grouped) and kind in ("auto", stored.kind):
            del self._tensors[name]
            self._num_quantized += 1
            held = stored.held(self.device)
            self._report(stored)
            return held
        whole = self.take(name, shape)
        if kind == "auto" or kind == "none":
            return whole
        self._num_quantized += 1
        return quantize(whole, kind)

    def _joined(self, parts: Sequence[Matrix]) -> Matrix:
        alike = self._alike(parts)
        if len(alike) == 1:
            return alike[0]
        quantized = [part for part in alike if isinstance(part, QuantizedWeight)]
        if quantized:
            return join(quantized)
        whole = [part for part in alike if isinstance(part, Tensor)]
        shape = sum(len(part) for part in whole), *whole[0].shape[1:]
        return torch.cat(whole, out=reserve(shape, whole[0].dtype, whole[0].device))

    def _alike(self, parts: Sequence[Matrix]) -> Sequence[Matrix]:
        """The weights as they are, or all whole if they are not of one kind."""
        kinds = {
            (p.dtype, 0) if isinstance(p, Tensor) else (p.values.dtype, p.scales.ndim)
            for p in parts
        }
        if len(kinds) == 1:
            return parts
        return [p if isinstance(p, Tensor) else dequantize(p, self.dtype) for p in parts]

    def _pop(
        self, name: str, shape: tuple[int, ...]
    ) -> Tensor | StoredTensor | CompressedTensor | None:
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            self._problems.append(f"missing {name} {shape}")
        elif tuple(tensor.shape) != shape:
            self._problems.append(f"{name} is {tuple(tensor.shape)}, expected {shape}")
        else:
            return tensor
        return None

    def _misfit(self, problems: Sequence[str]) -> InvalidCheckpoint:
        listed = "; ".join(_summary(problems))
        return InvalidCheckpoint(f"the weights do not fit config.json: {listed}")

    def _report(self, tensor: Tensor | StoredTensor | CompressedTensor) -> None:
        self._done_bytes += _num_bytes(tensor)
        if self._progress is not None:
            self._progress("weights", self._done_bytes, self._all_bytes)


def _can_be_held(
    stored: Tensor | StoredTensor | CompressedTensor | None,
    shape: tuple[int, int],
    *,
    grouped: bool,
) -> TypeGuard[CompressedTensor]:
    """Whether a weight [N, K] is stored as it can be held in 8 bits, `grouped` or by outputs."""
    if not isinstance(stored, CompressedTensor) or stored.shape != shape:
        return False
    return stored.per_output or (grouped and stored.in_groups)


def _num_bytes(tensor: Tensor | StoredTensor | CompressedTensor) -> int:
    return tensor.nbytes if isinstance(tensor, Tensor) else tensor.num_bytes


def _summary(problems: Sequence[str]) -> list[str]:
    """The problems, of those that differ in numbers of layers alone the first few."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", problem), []).append(problem)
    listed: list[str] = []
    for alike in kinds.values():
        listed += alike[:MOST_ALIKE]
        if more := len(alike) - MOST_ALIKE:
            listed += [f"and {more} more like it"] * (more > 0)
    return listed
