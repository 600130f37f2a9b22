"""Timing of work on a device, and the device's limits."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


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
    fp8_flops_per_s: float | None = None  # e4m3 products, where the device has them

    def rate(self, *, eight_bits: bool) -> float:
        """Product operations per second; those of 8 bits default to bfloat16's."""
        return (self.fp8_flops_per_s if eight_bits else None) or self.flops_per_s

    def floor_s(self, num_bytes: float, flops: float, *, eight_bits: bool = False) -> float:
        """Least time to move and compute so much in parallel."""
        return max(num_bytes / self.bytes_per_s, flops / self.rate(eight_bits=eight_bits))


def timed(call: Callable[[], object], *, budget_s: float = 0.2, graph: bool = False) -> Timed:
    """Median time of a call; on a GPU by events, with L2 cleared before each.

    As a `graph` its kernels are launched at once, like in the engine: launched one by one, kernels
    of a few microseconds wait for Python. Without a GPU it is called once, to test that it works.
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
    """Bandwidth of a large copy and rate of large products of random numbers."""
    size = 2**20 if small else 2**30
    source = torch.randint(-128, 127, (size,), dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    copy = timed(lambda: target.copy_(source))
    side = 256 if small else 8192
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    product = timed(lambda: a @ b)
    flops = 2 * side**3
    return Ceilings(2 * size / copy.median_s, flops / product.median_s, _fp8_rate(a, b))


def _fp8_rate(a: Tensor, b: Tensor) -> float | None:
    """Rate of torch's e4m3 product if it has one: the faster of two scalings.

    One scales each row and output, the other has one scale.
    """
    first, second = (x.to(torch.float8_e4m3fn) for x in (a, b))
    rates = []
    for shape in ((len(a), 1), ()):
        ones = torch.ones(shape, device=a.device)
        product = partial(
            torch._scaled_mm,
            first,
            second.t(),
            scale_a=ones,
            scale_b=ones.t() if shape else ones,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )
        try:
            product()
        except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
            print(f"no product of e4m3 with scales {shape}: {error}", file=sys.stderr)
            continue
        rates.append(2 * len(a) * len(b) * a.shape[1] / timed(product).median_s)
    return max(rates, default=None)
