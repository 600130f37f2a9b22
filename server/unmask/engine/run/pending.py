"""Results of a step on their way from the device to the host."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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

    def on_host(self, copy: Callable[[Tensor], Tensor]) -> "SampledTokens":
        """The same with every tensor passed through `copy`."""
        return SampledTokens(**{name: copy(tensor) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by their fields, which are those of `StepResult`."""
        tensors = {
            "tokens": self.tokens,
            "confidence": self.confidence,
            "selected": self.selected,
            "accepted": self.accepted,
            "top_ids": self.top_ids,
            "top_logprobs": self.top_logprobs,
        }
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A batch that was handed to the device; its result may still be on the way."""

    batch: StepBatch
    started_s: float
    sampled: SampledTokens | None
    arrived: torch.cuda.Event | None

    @classmethod
    def send(
        cls, batch: StepBatch, started_s: float, sampled: SampledTokens | None
    ) -> "PendingStep":
        """Start copying the result to pinned memory; on a CPU it is there already."""
        if sampled is None or sampled.tokens.device.type == "cpu":
            return cls(batch, started_s, sampled, None)
        return cls(batch, started_s, sampled.on_host(_to_pinned), _record())

    @classmethod
    def send_packed(
        cls,
        batch: StepBatch,
        started_s: float,
        memory: Tensor,
        unpack: Callable[[Tensor], SampledTokens],
    ) -> "PendingStep":
        """Start one copy of `memory` (bytes), which the next replay overwrites."""
        if memory.device.type == "cpu":
            return cls(batch, started_s, unpack(memory.clone()), None)
        return cls(batch, started_s, unpack(_to_pinned(memory)), _record())

    def wait(self) -> StepResult:
        """Block until the result is on the host."""
        if self.arrived is not None:
            self.arrived.synchronize()
        if self.sampled is None:
            empty = np.empty(0, np.int64)
            return StepResult(empty, empty.astype(np.float32), empty.astype(np.bool_))
        return StepResult(**{name: t.numpy() for name, t in self.sampled.tensors().items()})


def _to_pinned(tensor: Tensor) -> Tensor:
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def _record() -> torch.cuda.Event:
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return arrived
