"""Memory for weights on a CPU."""

import math
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

LEAST_MAPPED_BYTES = 256 * 2**10


def reserve(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor on the CPU, not yet filled, whose memory is the system's again once it is freed.

    Taken from glibc, what is read and freed once it is packed would leave places between weights
    that are just too small for the next ones, and loading would hold twice the weights.
    """
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes < LEAST_MAPPED_BYTES or not sys.platform.startswith("linux"):
        return torch.empty(tuple(shape), dtype=dtype)
    memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=dtype).view(tuple(shape))
