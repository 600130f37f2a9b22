"""Losses and gradients of a step's batches: with autograd, or by hand on a CPU with AMX."""

import copy
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL
from itertools import repeat
from queue import SimpleQueue
from threading import Barrier
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data import ROW_LENGTHS, Batch
from training.model import Model, Shape
from training.native.library import library
from training.native.weights import Weights
from training.native.worker import BLOCK, Worker

HEAD_DIM = 64  # of the passes by hand


class Passes(Protocol):
    """A bfloat16 copy of a model's weights, and what it makes of batches."""

    def load(self, model: Model) -> None:
        """Take a model's weights."""

    def learn(self, model: Model, batches: list[Batch]) -> Tensor:
        """The loss of batches, the mean by weight; its gradients become the model's."""

    def loss(self, batches: list[Batch]) -> float:
        """The loss of batches, the mean by weight."""


def passes_of(
    model: Model, part_tokens: int, num_parts: int, device: torch.device, *, compiled: bool
) -> Passes:
    """The fastest passes of a device; `compiled` is about those with autograd."""
    in_c = library() if device.type == "cpu" else None
    if in_c is not None and is_served_by_hand(model.shape, part_tokens):
        threads = min(torch.get_num_threads(), num_parts)
        return PassesByHand(in_c, model, part_tokens, threads)
    return AutogradPasses(model, device, compiled=compiled)


class AutogradPasses:
    """Passes by autograd, of layers that are compiled."""

    def __init__(self, model: Model, device: torch.device, *, compiled: bool) -> None:
        self.device = device
        self.working = copy.deepcopy(model).to(torch.bfloat16)
        for layer in self.working.model.layers if compiled else ():
            layer.compile(dynamic=False)

    @torch.no_grad()
    def load(self, model: Model) -> None:
        """Take a model's weights."""
        torch._foreach_copy_(list(self.working.parameters()), list(model.parameters()))

    def learn(self, model: Model, batches: list[Batch]) -> Tensor:
        """The loss of batches, the mean by weight; its gradients become the model's.

        A GPU runs behind the host, which never waits for a number of it here.
        """
        weight = sum(batch.weight for batch in batches)
        losses: list[Tensor] = []
        for batch in batches:
            value = self._sum(batch) / weight
            value.backward()  # type: ignore[no-untyped-call]
            losses.append(value.detach())
        for parameter, used in zip(model.parameters(), self.working.parameters(), strict=True):
            assert used.grad is not None
            parameter.grad, used.grad = used.grad.float(), None
        return torch.stack(losses).sum()

    @torch.no_grad()
    def loss(self, batches: list[Batch]) -> float:
        """The loss of batches, the mean by weight."""
        total = sum(self._sum(batch).item() for batch in batches)
        return total / sum(batch.weight for batch in batches)

    def _sum(self, batch: Batch) -> Tensor:
        """Weighted sum of cross-entropies at masked positions."""
        batch = batch.to(self.device)
        hidden = self.working.hidden(batch.ids, batch.positions, batch.mask)
        logits = self.working.logits(hidden.flatten(0, 1)[batch.asked])
        targets = batch.targets.flatten()[batch.asked].long()
        entropy = F.cross_entropy(logits, targets.clamp(min=0), reduction="none")
        return (entropy * batch.weights).sum()


def is_served_by_hand(shape: Shape, part_tokens: int) -> bool:
    """True if the passes in C are for a shape, and for parts whose rows are all full."""
    sizes = shape.hidden, shape.intermediate, shape.vocab, shape.heads * shape.head_dim
    fits = shape.head_dim == HEAD_DIM and all(size % BLOCK == 0 for size in sizes)
    return fits and all(part_tokens % length == 0 for length in ROW_LENGTHS)


def _be_alone(all_run: Barrier) -> None:
    """Use one thread of torch, in each thread of a pool."""
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread keeps what it was told first
    all_run.wait()


class PassesByHand:
    """Passes in C; threads take the batches of a step one by one.

    If other programs share the cores, that is faster than threads in each operation: these wait for
    each other once a step.
    """

    def __init__(self, in_c: CDLL, model: Model, part_tokens: int, threads: int) -> None:
        self.weights = Weights(model.shape, torch.bfloat16)
        self.workers = [Worker(in_c, model, part_tokens) for _ in range(threads)]
        self.pool = ThreadPoolExecutor(threads, "passes")
        # Products in these threads take no other ones. Torch's number is the process's as well.
        before, all_run = torch.get_num_threads(), Barrier(threads)
        list(self.pool.map(_be_alone, repeat(all_run, threads)))
        torch.set_num_threads(before)
        self.load(model)

    @torch.no_grad()
    def load(self, model: Model) -> None:
        """Take a model's weights."""
        for name, parameter in model.named_parameters():
            self.weights.named[name].copy_(parameter)

    def learn(self, model: Model, batches: list[Batch]) -> Tensor:
        """The loss of batches, the mean by weight; its gradients become the model's."""
        for worker in self.workers:
            worker.gradients.flat.zero_()
        value = self._run(batches, learns=True)
        first, *others = self.workers
        for worker in others:
            first.gradients.flat += worker.gradients.flat
        for name, parameter in model.named_parameters():
            parameter.grad = first.gradients.named[name]
        return torch.tensor(value)

    def loss(self, batches: list[Batch]) -> float:
        """The loss of batches, the mean by weight."""
        return self._run(batches, learns=False)

    def _run(self, batches: list[Batch], *, learns: bool) -> float:
        weight = sum(batch.weight for batch in batches)
        waiting: SimpleQueue[Batch | None] = SimpleQueue()
        for item in (*batches, *(None for _ in self.workers)):
            waiting.put(item)

        @torch.no_grad()
        def work(worker: Worker) -> float:
            total = 0.0
            while (batch := waiting.get()) is not None:
                total += worker.loss(batch, self.weights, weight, learns=learns)
            return total

        return sum(self.pool.map(work, self.workers))
