"""Kernels run on a GPU if there is one, and in Triton's interpreter if not."""

from collections.abc import Iterator

import pytest
import torch

from unmask_kernels import dispatch


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def triton_kernels() -> Iterator[None]:
    with dispatch.backend("triton"):
        yield


@pytest.fixture(params=["auto", "torch", "triton"])
def backend(request: pytest.FixtureRequest) -> Iterator[dispatch.Backend]:
    """Every backend; `auto` is Triton on a GPU and, with a compiler, C on a CPU."""
    with dispatch.backend(request.param):
        yield request.param
