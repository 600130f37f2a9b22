"""Choice of an operation's implementation: Triton on a GPU, C kernels or torch elsewhere."""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from unmask_kernels.native.library import library

Backend = Literal["auto", "torch", "triton"]

_backend: Backend = "auto"
_chip = 90  # assumed without a GPU, by the interpreter and the compile checks


def uses_triton(device: torch.device) -> bool:
    """True if operations on `device` are Triton's; its interpreter has to be chosen."""
    if _backend == "auto":
        return device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return _backend == "triton"


def uses_native(x: Tensor) -> bool:
    """True if C kernels serve the device and dtype of `x`."""
    return has_native(x.device, x.dtype)


def has_native(device: torch.device, dtype: torch.dtype) -> bool:
    """True if there are C kernels for a device and a dtype, and no other backend is chosen."""
    return _backend == "auto" and device.type == "cpu" and library(dtype) is not None


def capability(device: torch.device) -> int:
    """Compute capability, such as 90 for sm_90; without a GPU, the `chip` of `backend`."""
    if device.type != "cuda":
        return _chip
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


@contextlib.contextmanager
def backend(name: Backend, *, chip: int = 90) -> Iterator[None]:
    """Choose the implementation of all that is planned and run inside.

    Without a GPU, kernels are launched as they would be on `chip`.
    """
    global _backend, _chip
    previous, _backend, _chip = (_backend, _chip), name, chip
    try:
        yield
    finally:
        _backend, _chip = previous
