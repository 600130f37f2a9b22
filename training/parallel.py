"""Data-parallel training processes on one machine.

If other programs share the cores, processes are faster than threads: threads wait for each other in
every operation, processes once a step.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor


def run_all(work: Callable[[int], None], processes: int, rendezvous: Path) -> None:
    """Call the picklable `work` with each rank in a process; passes SIGTERM on to all."""
    rendezvous.unlink(missing_ok=True)
    context = mp.spawn(_join, (work, processes, rendezvous), nprocs=processes, join=False)
    signal.signal(signal.SIGTERM, lambda *_: [p.terminate() for p in context.processes])
    while not context.join():
        pass


def _join(rank: int, work: Callable[[int], None], processes: int, rendezvous: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous.absolute()}", rank=rank, world_size=processes
    )
    work(rank)
    dist.destroy_process_group()


def num_processes() -> int:
    """World size."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(gradients: list[Tensor], numbers: list[float]) -> list[float]:
    """Replace gradients by their means over all processes; returns the sums of `numbers`."""
    if not dist.is_initialized():
        return numbers
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor(numbers)])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        part = flat[start : start + gradient.numel()]
        gradient.copy_(part.view_as(gradient) / num_processes())
        start += gradient.numel()
    sums: list[float] = flat[start:].tolist()
    return sums
