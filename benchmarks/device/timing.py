"""Seconds of work on a device, and what the device itself can do."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timed:
    """Median time of a call and its spread."""

    median_s: float
    low_s: float  # fifth of the calls
    high_s: float

    @property
    def median_us(self) -> float:
        return 1e6 * self.median_s


@dataclass(frozen=True)
class Ceilings:
    """Measured limits of a device."""

    bytes_per_s: float  # read and written
    flops_per_s: float  # bfloat16 products

    def floor_s(self, num_bytes: float, flops: float) -> float:
        """The least time in which so much can be moved and computed, at once."""
        return max(num_bytes / self.bytes_per_s, flops / self.flops_per_s)


def timed(call: Callable[[], object], *, budget_s: float = 0.2, graph: bool = False) -> Timed:
    """Time a call again and again; on a GPU by events, its L2 cache cleared before each.

    As a `graph` its kernels are launched at once, as the engine does: one by one, those of a few
    microseconds wait for Python. Without a GPU once is enough: that shows that the call works, and
    nothing of speed.
    """
    if torch.cuda.is_available():
        from triton.testing import do_bench

        budget_ms = 1000 * budget_s
        low, median, high = do_bench(
            _recorded(call) if graph else call,
            warmup=budget_ms / 4,
            rep=budget_ms,
            quantiles=[0.2, 0.5, 0.8],
        )
        return Timed(median / 1000, low / 1000, high / 1000)
    started_s = time.perf_counter()
    call()
    elapsed_s = time.perf_counter() - started_s
    return Timed(elapsed_s, elapsed_s, elapsed_s)


def _recorded(call: Callable[[], object]) -> Callable[[], None]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # kernels are compiled, libraries take their memory
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def measure_ceilings(device: torch.device, *, small: bool) -> Ceilings:
    """A large copy and a large product, of random numbers."""
    size = 2**20 if small else 2**30
    source = torch.randint(-128, 127, (size,), dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    copy = timed(lambda: target.copy_(source))
    side = 256 if small else 8192
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    product = timed(lambda: a @ b)
    return Ceilings(2 * size / copy.median_s, 2 * side**3 / product.median_s)
