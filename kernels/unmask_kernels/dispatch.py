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


@contextlib.contextmanager
def backend(name: Backend) -> Iterator[None]:
    """Choose the implementation for everything that is planned and run inside."""
    global _backend
    previous, _backend = _backend, name
    try:
        yield
    finally:
        _backend = previous
