"""Memory for weights."""

import math
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

LEAST_MAPPED_BYTES = 256 * 2**10
CPU = torch.device("cpu")


def reserve(shape: Sequence[int], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """An uninitialised tensor; on a CPU its memory returns to the system once it is freed.

    Tensors from glibc, freed once they are packed, would leave holes just too small for the next
    weights, and loading would hold the weights twice.
    """
    num_bytes = math.prod(shape) * dtype.itemsize
    is_mapped = device.type == "cpu" and sys.platform.startswith("linux")
    if num_bytes < LEAST_MAPPED_BYTES or not is_mapped:
        return torch.empty(tuple(shape), dtype=dtype, device=device)
    memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=dtype).view(tuple(shape))
