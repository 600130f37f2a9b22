"""Which implementation of an operation runs: Triton on a GPU, plain torch elsewhere."""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Literal

import torch

Backend = Literal["auto", "torch", "triton"]

_backend: Backend = "auto"


def uses_triton(device: torch.device) -> bool:
    """Whether operations on `device` are Triton's; its interpreter only runs where it is chosen."""
    if _backend == "auto":
        return device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return _backend == "triton"


def capability(device: torch.device) -> int:
    """The chip, such as 90 for sm_90; the interpreter is taken for one of those."""
    if device.type != "cuda":
        return 90
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


@contextlib.contextmanager
def backend(name: Backend) -> Iterator[None]:
    """Choose the implementation for everything that is planned and run inside."""
    global _backend
    previous, _backend = _backend, name
    try:
        yield
    finally:
        _backend = previous
