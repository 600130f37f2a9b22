"""Reference loop for canvases, in plain torch: all rows of every request in one step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from tests.support.canvases import Forward, Image, Rows
from unmask.types import CanvasSchedule
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.noise.reference import (
    CanvasState,
    Predictions,
    Rules,
    denoise,
    temperature_at,
)
from unmask_kernels.philox import gumbel_noise, noise_tokens
from unmask_kernels.scoring import types as scoring


class Draws(Protocol):
    """Random numbers of one request."""

    def gumbel(self, start: int, step: int, first: int, count: int) -> Tensor:
        """Gumbel noise [L, count] of entries from `first`, for the canvas at `start` in a step."""
        ...

    def tokens(self, start: int, step: int) -> Tensor:
        """Random tokens [L] for the canvas at `start` before a step."""
        ...


@dataclass(frozen=True)
class PhiloxDraws:
    """Draws as a function of (seed, position, step)."""

    seed: int
    width: int
    vocab_size: int

    def _key(self, start: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        positions = torch.arange(start, start + self.width)
        return torch.full_like(positions, self.seed), positions, torch.full_like(positions, step)

    def gumbel(self, start: int, step: int, first: int, count: int) -> Tensor:
        return gumbel_noise(*self._key(start, step), count, first=first)

    def tokens(self, start: int, step: int) -> Tensor:
        return noise_tokens(*self._key(start, step), self.vocab_size)


@dataclass
class Job:
    """Request with its tokens, those without keys, and its open canvas."""

    tokens: Tensor
    draws: Draws
    schedule: CanvasSchedule
    num_canvases: int
    waits: int = 0  # steps before it arrives
    temperature: float = 1.0
    pages: list[int] = field(default_factory=list)
    num_encoded: int = 0
    step: int = 0
    num_steps: int = 0
    state: CanvasState | None = None  # of one canvas
    soft: Tensor | None = None
    images: tuple[Image, ...] = ()

    @property
    def start(self) -> int:
        return len(self.tokens)

    def begin(self) -> None:
        self.state = CanvasState.start(self.draws.tokens(self.start, 0)[None])
        self.soft, self.step = None, 0

    def rows(self) -> Rows:
        assert self.state is not None
        encoded = self.tokens[self.num_encoded :]
        canvas, images = self.state.tokens[0], () if self.num_encoded else self.images
        return Rows(self.pages, self.num_encoded, encoded, canvas, self.soft, images)


def run(forward: Forward, jobs: Sequence[Job], width: int) -> None:
    """Denoise until all jobs have their canvases, which end their `tokens`."""
    for job in jobs:
        job.pages = forward.pages(len(job.tokens) + job.num_canvases * width)
        job.begin()
    open_jobs = list(jobs)
    clock = 0
    while open_jobs:
        _step(forward, [job for job in open_jobs if job.waits <= clock])
        open_jobs = [job for job in open_jobs if job.num_canvases]
        clock += 1


@torch.inference_mode()
def _step(forward: Forward, jobs: list[Job]) -> None:
    if not jobs:
        return
    model = forward.model
    hidden = forward.hidden(*[job.rows() for job in jobs])
    width = len(hidden[0])
    temperatures = [
        temperature_at(job.schedule.t_min, job.schedule.t_max, job.step, job.schedule.steps)
        for job in jobs
    ]

    def noise(first: int, count: int) -> Tensor:
        parts = [job.draws.gumbel(job.start, job.step, first, count) for job in jobs]
        return torch.cat(parts)

    spread = torch.tensor([job.temperature for job in jobs]).repeat_interleave(width)
    keys = (torch.zeros(len(spread), dtype=torch.int64) for _ in range(3))  # `noise` replaces
    draws = scoring.Draws(torch.tensor(temperatures).repeat_interleave(width), *keys, spread=spread)
    scores = score_canvas(torch.cat(hidden), model.vocabulary, draws, noise=noise)
    states = [job.state for job in jobs]
    done = denoise(
        CanvasState(
            torch.cat([s.tokens for s in states]),
            torch.cat([s.draft for s in states]),
            torch.cat([s.unchanged for s in states]),
        ),
        Predictions(
            scores.drawn.view(-1, width),
            scores.best.view(-1, width),
            scores.entropy.view(-1, width),
        ),
        torch.stack([job.draws.tokens(job.start, job.step + 1) for job in jobs]),
        Rules(
            entropy_bound=torch.tensor([job.schedule.entropy_bound for job in jobs]),
            stability=torch.tensor([job.schedule.stability for job in jobs]),
            confidence=torch.tensor([job.schedule.confidence for job in jobs]),
            is_last=torch.tensor([job.step + 1 == job.schedule.steps for job in jobs]),
        ),
    )
    softs = scores.soft.split(width)
    for i, job in enumerate(jobs):
        one = slice(i, i + 1)
        state = done.state
        job.state = CanvasState(state.tokens[one], state.draft[one], state.unchanged[one])
        job.soft, job.num_encoded = softs[i], job.start
        job.step += 1
        job.num_steps += 1
        if done.finished[i]:
            job.tokens = torch.cat((job.tokens, job.state.draft[0]))
            job.num_canvases -= 1
            job.begin()
