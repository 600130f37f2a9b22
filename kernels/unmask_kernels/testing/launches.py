"""Compiles kernels as the engine launches them, without a GPU and without running them.

All else runs on torch's meta device, whose tensors have shapes and no numbers. Code that reads a
number of the device, and would make the host wait for it, raises.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from unmask_kernels import dispatch
from unmask_kernels.testing.compiling import Report, examine


class _Chip:
    """Triton driver with the methods that the compiler calls."""

    def __init__(self, capability: int) -> None:
        self._target = GPUTarget("cuda", capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return self._target


class Launches:
    """Every kernel that was launched, compiled for the arguments that it was launched with."""

    def __init__(self, capability: int) -> None:
        self._capability = capability
        self._compiled: dict[str, tuple[str, Any]] = {}
        self.counts: Counter[str] = Counter()  # of launches, by kernel

    def note(self, name: str, compiled: Any) -> None:
        """Record a kernel, once for all launches with arguments of these types."""
        self._compiled[compiled.hash] = name, compiled
        self.counts[name] += 1

    def reports(self, multiplying: frozenset[str]) -> list[Report]:
        """Reports of all kernels; those named in `multiplying` must use matrix units."""
        return [
            examine(name, self._capability, compiled, multiplies=name in multiplying)
            for name, compiled in self._compiled.values()
        ]


@contextlib.contextmanager
def compiled_only(capability: int) -> Iterator[Launches]:
    """Compile kernels launched inside for a chip, such as 90 for sm_90, instead of running them.

    Use it in a process of its own, where kernels are not interpreted (TRITON_INTERPRET): Triton's
    driver stays replaced.
    """
    launches, run = Launches(capability), JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        compiled = run(self, *args, grid=grid, warmup=True, **options)
        launches.note(self.fn.__name__, compiled)
        return compiled

    driver.set_active(_Chip(capability))
    JITFunction.run = compile_only
    try:
        with dispatch.backend("triton", chip=capability):
            yield launches
    finally:
        JITFunction.run = run
