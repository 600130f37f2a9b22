"""Copies arrays between the host and a device, packed into one piece of memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.generic]
ALIGNMENT = 256  # bytes; kernels are compiled for pointers that are multiples of 16


@dataclass(frozen=True, slots=True)
class Staging:
    """Copies to one device through pinned memory, while the host goes on.

    Every call takes memory of its own. torch's caching allocators reuse it once the copy, and
    whatever else was queued before, is done with it.
    """

    device: torch.device

    def to_device(self, arrays: Sequence[Array]) -> list[Tensor]:
        """Tensors of the arrays; on a CPU they share their memory."""
        if self.device.type == "cpu":
            return on_host(arrays)
        pinned = torch.empty(packed_size(arrays), dtype=torch.uint8, pin_memory=True)
        pack(arrays, pinned)
        return unpack(arrays, pinned.to(self.device, non_blocking=True))

    def copy(self, mirror: Tensor, memory: Tensor) -> None:
        """Copy bytes of the host, which may change right after, to `memory` on the device."""
        if memory is mirror:
            return
        pinned = torch.empty(len(mirror), dtype=torch.uint8, pin_memory=True)
        memory.copy_(pinned.copy_(mirror), non_blocking=True)


class StaticBuffers:
    """Named arrays at fixed addresses of a device, with a mirror on the host.

    A captured CUDA graph reads `tensors`. `arrays` are written on the host and sent in one copy;
    on a CPU both are the same memory.
    """

    def __init__(self, arrays: Mapping[str, Array], device: torch.device) -> None:
        layout = list(arrays.values())
        self._memory = torch.zeros(packed_size(layout), dtype=torch.uint8, device=device)
        is_host = device.type == "cpu"
        self._mirror = (
            self._memory if is_host else torch.zeros(len(self._memory), dtype=torch.uint8)
        )
        self.tensors = dict(zip(arrays, unpack(layout, self._memory), strict=True))
        self.mirrored = dict(zip(arrays, unpack(layout, self._mirror), strict=True))
        self.arrays: dict[str, Array] = {n: t.numpy() for n, t in self.mirrored.items()}

    def write(self, name: str, values: Array, padding: float | Array) -> None:
        """Write the first entries of an array on the host, and `padding` after them."""
        array, count = self.arrays[name], len(values)
        array[:count] = values
        array[count:] = padding

    def send(self, staging: Staging) -> None:
        """Copy everything to the device."""
        staging.copy(self._mirror, self._memory)


def on_host(arrays: Sequence[Array]) -> list[Tensor]:
    """Tensors that share the arrays' memory."""
    return [torch.from_numpy(array) for array in arrays]


def packed_size(arrays: Sequence[Array]) -> int:
    """Bytes that `pack` needs."""
    return sum(aligned(array.nbytes) for array in arrays)


def pack(arrays: Sequence[Array], memory: Tensor) -> None:
    """Write arrays one after another into bytes of the host."""
    into, first = memory.numpy(), 0
    for array in arrays:
        into[first : first + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        first += aligned(array.nbytes)


def unpack(arrays: Sequence[Array], memory: Tensor) -> list[Tensor]:
    """Views of packed bytes with the types and shapes of `arrays`."""
    tensors, first = [], 0
    for array in arrays:
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        view = memory[first : first + array.nbytes].view(dtype)
        tensors.append(view.view(array.shape))
        first += aligned(array.nbytes)
    return tensors


def aligned(num_bytes: int) -> int:
    """Bytes with padding."""
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT
