"""Programmatic dependent launch: a kernel is launched while the one before it still runs.

A step of few rows is hundreds of kernels of a few microseconds each, and as long again passes
between the end of one and the first instruction of the next. Hopper and later chips launch a
kernel as soon as every program of the one before it has begun (CUDA's griddepcontrol): one request
of SDAR-8B in FP8 has 4% more tokens a second by it on an H100. The waiting programs take room of
those that run, so that 8 requests and more had 2% fewer.
"""

import torch
import triton
import triton.language as tl

from unmask_kernels.dispatch import capability

FIRST_CAPABILITY = 90
MOST_ROWS = 128


@triton.jit
def wait_for_inputs(PDL: tl.constexpr):
    """Wait until the kernel before is complete, then let the next one be launched.

    Every program of a kernel has to wait before it reads, writes or returns. A kernel is then not
    complete before its own wait is over, so that one wait covers all kernels before.
    """
    if PDL:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def prefetch(p_lines):
    """Bring the cache lines at these addresses into L2, before anything waits for them."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [p_lines], tl.int32, False, 1
    )


def dependent_launch(device: torch.device, num_rows: int) -> dict[str, bool]:
    """Options of a launch for a step's rows: `PDL` for the kernel, `launch_pdl` for the driver."""
    if device.type == "cpu" or num_rows > MOST_ROWS or capability(device) < FIRST_CAPABILITY:
        return {"PDL": False}  # interpreted, or no gain, or older
    return {"PDL": True, "launch_pdl": True}
