"""Records CUDA graphs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import Logger
from typing import Generic, Protocol, TypeVar

import torch

from unmask_kernels.dispatch import uses_triton

CLOSE = 16.0  # roundings of the largest number


class Graph(Protocol):
    """Recorded work of a device."""

    def replay(self) -> None:
        """Launch it once more."""
        ...


Record = Callable[[Callable[[], None]], Graph]
Recorder = Callable[[torch.device], Record]  # raises where there are no graphs
BuffersT = TypeVar("BuffersT")


@dataclass(frozen=True, slots=True)
class CapturedGraph(Generic[BuffersT]):
    """A graph and the static buffers that it reads and writes."""

    buffers: BuffersT
    graph: Graph


def cuda_recorder(device: torch.device) -> Record:
    """Records graphs in one memory pool; raises `RuntimeError` without CUDA and Triton."""
    if device.type != "cuda" or not uses_triton(device):
        raise RuntimeError(f"graphs need CUDA and Triton, the device is {device}")
    pool = torch.cuda.graph_pool_handle()

    def record(run: Callable[[], None]) -> Graph:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # kernels are compiled, libraries take their memory
            run()
        torch.cuda.current_stream().wait_stream(side)
        _release_memory(device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            run()
        return graph

    return record


def _release_memory(device: torch.device) -> None:
    """Free what torch holds unused if there is less besides: a capture cannot do so itself."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if unused > torch.cuda.mem_get_info(device)[0]:
        torch.cuda.empty_cache()


def warn_of_dependence(logger: Logger, num_rows: Sequence[int]) -> None:
    """Log the sizes, in rows, of steps that are not batch-invariant in their last bits."""
    if num_rows:
        logger.warning(
            "matmul of %s rows uses another reduction order: the last bits of an answer may depend "
            "on what else is decoded",
            ", ".join(map(str, sorted(set(num_rows)))),
        )
