"""What a step decides, on its way from the device to the host."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.engine.schedule.batch import StepResult


@dataclass(frozen=True, slots=True)
class Outputs:
    """The tensors of a `StepResult`."""

    tokens: Tensor  # [M] int64
    confidence: Tensor  # [M] float32
    selected: Tensor  # [M] bool
    accepted: Tensor | None = None  # [M] bool
    top_ids: Tensor | None = None  # [M, K] int64
    top_logprobs: Tensor | None = None  # [M, K] float32


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step that was handed to the device; its result may still be on the way."""

    outputs: Outputs | None
    arrived: torch.cuda.Event | None

    @classmethod
    def send(cls, outputs: Outputs | None) -> "PendingStep":
        """Begin to copy what the host needs; on a CPU it is there already."""
        if outputs is None or outputs.tokens.device.type == "cpu":
            return cls(outputs, None)
        copied = Outputs(
            _copy(outputs.tokens),
            _copy(outputs.confidence),
            _copy(outputs.selected),
            None if outputs.accepted is None else _copy(outputs.accepted),
            None if outputs.top_ids is None else _copy(outputs.top_ids),
            None if outputs.top_logprobs is None else _copy(outputs.top_logprobs),
        )
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return cls(copied, arrived)

    @classmethod
    def send_packed(cls, memory: Tensor, view: Callable[[Tensor], Outputs]) -> "PendingStep":
        """The same in one copy of bytes, which the next step overwrites; `view` reads them."""
        if memory.device.type == "cpu":
            return cls(view(memory.clone()), None)
        copied = _copy(memory)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return cls(view(copied), arrived)

    def wait(self) -> StepResult:
        """Block until the result is on the host."""
        if self.arrived is not None:
            self.arrived.synchronize()
        out = self.outputs
        if out is None:
            empty = np.empty(0, np.int64)
            return StepResult(empty, empty.astype(np.float32), empty.astype(np.bool_))
        return StepResult(
            tokens=out.tokens.numpy(),
            confidence=out.confidence.numpy(),
            selected=out.selected.numpy(),
            accepted=None if out.accepted is None else out.accepted.numpy(),
            top_ids=None if out.top_ids is None else out.top_ids.numpy(),
            top_logprobs=None if out.top_logprobs is None else out.top_logprobs.numpy(),
        )


def _copy(tensor: Tensor) -> Tensor:
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)
