"""Device time of each kernel of an engine's steps, and idle time."""

from collections.abc import Callable
from typing import Any

import torch

PROFILED_STEPS = 4
NUM_KERNELS = 16  # slowest kernels, named in a result
# The part that a kernel with this in its name belongs to; the first that fits.
KINDS = {
    "attention_kernel": "attention",
    "merge_kernel": "attention",
    "piece_kernel": "unmasking",
    "finish_kernel": "unmasking",
    "slice_kernel": "unmasking",
    "join_slices": "unmasking",
    "begin_kernel": "unmasking",
    "move_kernel": "unmasking",
    "sandwich": "layers",
    "rms_norm": "layers",
    "norm_quantized": "layers",
    "gate_quantized": "layers",
    "heads_kernel": "layers",
    "swiglu": "layers",
    "geglu": "layers",
    "quantize": "layers",
    "expert": "experts",
    "grouped": "experts",
    "combine_kernel": "experts",
    "router_kernel": "experts",
    "route_": "experts",
    "pairs_kernel": "experts",
    "gemm": "matmul",
    "nvjet": "matmul",
    "cutlass": "matmul",
    "scaled": "matmul",
    "product": "matmul",
    "add_grains": "matmul",
    "Memcpy": "copies",
}


def profile(step: Callable[[], object]) -> dict[str, Any]:
    """Share of idle time, and the time of each kernel."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        for _ in range(PROFILED_STEPS):
            step()
        torch.cuda.synchronize()
    times = [e.time_range for e in profiler.events() if e.device_type == DeviceType.CUDA]
    wall_s = (max(t.end for t in times) - min(t.start for t in times)) / 1e6
    spent = dict.fromkeys(KINDS.values(), 0.0) | {"other": 0.0}
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_device_time_total)
    for event in events:
        kind = next((k for part, k in KINDS.items() if part in event.key), "other")
        spent[kind] += event.self_device_time_total / 1e6
    busy_s = sum(spent.values())
    return {
        "idle_share": max(0.0, 1 - busy_s / wall_s),
        "shares": {kind: taken / busy_s for kind, taken in spent.items()},
        "kernels": {
            event.key[:80]: {
                "calls_a_step": event.count / PROFILED_STEPS,
                "us_a_step": event.self_device_time_total / PROFILED_STEPS,
            }
            for event in events[:NUM_KERNELS]
        },
    }
