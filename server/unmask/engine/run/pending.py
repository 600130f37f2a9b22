"""Results of a step on their way from the device to the host."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.staging import aligned
from unmask.engine.schedule.batch import StepBatch, StepResult


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """A step's choices for M scored rows, as tensors; `StepResult` on the host."""

    tokens: Tensor  # [M] int64
    confidence: Tensor  # [M] float32
    selected: Tensor  # [M] bool
    accepted: Tensor | None = None  # [M] bool
    top_ids: Tensor | None = None  # [M, K] int64
    top_logprobs: Tensor | None = None  # [M, K] float32
    given_logprobs: Tensor | None = None  # [M] float32
    given_ranks: Tensor | None = None  # [M] int64

    def on_host(self, copy: Callable[[Tensor], Tensor]) -> "SampledTokens":
        """The same with every tensor passed through `copy`."""
        return SampledTokens(**{name: copy(tensor) for name, tensor in self._tensors().items()})

    def result(self) -> StepResult:
        """The arrays of tensors on the host."""
        return StepResult(**{name: t.numpy() for name, t in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by their fields, which are those of `StepResult`."""
        tensors = {
            "tokens": self.tokens,
            "confidence": self.confidence,
            "selected": self.selected,
            "accepted": self.accepted,
            "top_ids": self.top_ids,
            "top_logprobs": self.top_logprobs,
            "given_logprobs": self.given_logprobs,
            "given_ranks": self.given_ranks,
        }
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """The results of a CUDA graph for `capacity` rows, of which the first `count` are in use.

    The fields of `StepResult` are one after another in one piece of memory, up to `accepted` for
    canvases of noise.
    """

    memory: Tensor  # [bytes] uint8
    capacity: int
    count: int
    has_accepted: bool

    @classmethod
    def zeros(
        cls, capacity: int, device: torch.device, *, has_accepted: bool = False
    ) -> "PackedTokens":
        """Memory for `capacity` rows, all of them in use."""
        ends = [end for _, end in _places(capacity, has_accepted=has_accepted)]
        memory = torch.zeros(aligned(ends[-1]), dtype=torch.uint8, device=device)
        return cls(memory, capacity, capacity, has_accepted)

    def first(self, count: int) -> "PackedTokens":
        """The first `count` rows."""
        return PackedTokens(self.memory, self.capacity, count, self.has_accepted)

    def on_host(self, copy: Callable[[Tensor], Tensor]) -> "PackedTokens":
        """The same in memory that is passed through `copy`."""
        return PackedTokens(copy(self.memory), self.capacity, self.count, self.has_accepted)

    def tensors(self) -> SampledTokens:
        """Views of the memory."""
        places = _places(self.capacity, has_accepted=self.has_accepted)
        tensors = [
            self.memory[start:end].view(dtype)[: self.count]
            for (start, end), dtype in zip(places, DTYPES, strict=False)
        ]
        return SampledTokens(*tensors)

    def result(self) -> StepResult:
        """Views of the memory, which is on the host."""
        memory, count = self.memory.numpy(), self.count
        starts = [start for start, _ in _places(self.capacity, has_accepted=self.has_accepted)]
        flags = [memory[start : start + count].view(np.bool_) for start in starts[2:]]
        return StepResult(
            memory[: 8 * count].view(np.int64),
            memory[starts[1] : starts[1] + 4 * count].view(np.float32),
            flags[0],
            flags[1] if self.has_accepted else None,
        )


DTYPES = torch.int64, torch.float32, torch.bool, torch.bool


def _places(capacity: int, *, has_accepted: bool) -> list[tuple[int, int]]:
    """First and last byte of each array in the memory of `PackedTokens`."""
    places, start = [], 0
    for dtype in DTYPES if has_accepted else DTYPES[:3]:
        places.append((start, start + dtype.itemsize * capacity))
        start = aligned(places[-1][1])
    return places


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A batch that was handed to the device; its result may still be on the way."""

    batch: StepBatch
    started_s: float
    sampled: SampledTokens | PackedTokens | None
    arrived: torch.cuda.Event | None

    @classmethod
    def send(
        cls, batch: StepBatch, started_s: float, sampled: SampledTokens | PackedTokens | None
    ) -> "PendingStep":
        """Start copying the result to pinned memory; on a CPU it is there already.

        Memory of a graph is copied there too: the next replay overwrites it.
        """
        if sampled is None:
            return cls(batch, started_s, None, None)
        device = (
            sampled.memory.device if isinstance(sampled, PackedTokens) else sampled.tokens.device
        )
        if device.type != "cpu":
            return cls(batch, started_s, sampled.on_host(_to_pinned), _record())
        if isinstance(sampled, PackedTokens):
            sampled = sampled.on_host(torch.clone)
        return cls(batch, started_s, sampled, None)

    def wait(self) -> StepResult:
        """Block until the result is on the host."""
        if self.arrived is not None:
            self.arrived.synchronize()
        if self.sampled is None:
            empty = np.empty(0, np.int64)
            return StepResult(empty, empty.astype(np.float32), empty.astype(np.bool_))
        return self.sampled.result()


def _to_pinned(tensor: Tensor) -> Tensor:
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def _record() -> torch.cuda.Event:
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return arrived
