"""Brings the arrays of a step to the device in one copy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.generic]
ALIGNMENT = 256  # bytes; kernels are compiled for pointers that are multiples of 16


@dataclass(frozen=True, slots=True)
class Staging:
    """Packs arrays into pinned memory, from which one copy goes on while the host goes on too.

    Every call has memory of its own on both sides. torch's allocators keep it when the tensors are
    gone, and hand it out again once the copy, or whatever else was queued, is done with it.
    """

    device: torch.device

    def put(self, arrays: Sequence[Array]) -> list[Tensor]:
        """The arrays as tensors; on a CPU they share their memory."""
        if self.device.type == "cpu":
            return on_host(arrays)
        size = packed_size(arrays)
        pinned = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        pack(arrays, pinned)
        return unpack(arrays, pinned.to(self.device, non_blocking=True))

    def fill(self, memory: Tensor, arrays: Sequence[Array]) -> None:
        """Put arrays into `memory` of this device, in bytes, as `unpack` finds them."""
        if self.device.type == "cpu":
            pack(arrays, memory)
            return
        pinned = torch.empty(packed_size(arrays), dtype=torch.uint8, pin_memory=True)
        pack(arrays, pinned)
        memory[: len(pinned)].copy_(pinned, non_blocking=True)

    def copy(self, own: Tensor, memory: Tensor) -> None:
        """Bring bytes of the host, which may change right after, to `memory` of this device."""
        if memory is own:
            return
        pinned = torch.empty(len(own), dtype=torch.uint8, pin_memory=True)
        memory.copy_(pinned.copy_(own), non_blocking=True)


def on_host(arrays: Sequence[Array]) -> list[Tensor]:
    """Arrays as tensors that share their memory."""
    return [torch.from_numpy(array) for array in arrays]


def packed_size(arrays: Sequence[Array]) -> int:
    """Bytes that `pack` needs."""
    return sum(_aligned(array.nbytes) for array in arrays)


def pack(arrays: Sequence[Array], memory: Tensor) -> None:
    """Write arrays one after another into bytes of the host."""
    into, first = memory.numpy(), 0
    for array in arrays:
        into[first : first + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        first += _aligned(array.nbytes)


def unpack(arrays: Sequence[Array], memory: Tensor) -> list[Tensor]:
    """Views of packed bytes with the types and shapes of `arrays`."""
    found, first = [], 0
    for array in arrays:
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        own = memory[first : first + array.nbytes].view(dtype)
        found.append(own.view(array.shape))
        first += _aligned(array.nbytes)
    return found


def _aligned(num_bytes: int) -> int:
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT
