"""One step of a canvas of uniform noise: accept certain positions, renoise the rest, find the end.

The sampler of DiffusionGemma. There is no mask token: a canvas begins as random tokens, every step
predicts all of its positions anew, and the most likely tokens of the last step are the answer.
Canvases are rows of their own and of one length, so requests never meet.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CanvasState:
    """S canvases of L positions between two steps."""

    tokens: Tensor  # [S, L] int64, read by the next step
    draft: Tensor  # [S, L] int64, the most likely tokens of the last step; -1 before the first
    unchanged: Tensor  # [S] int64, steps since the draft changed

    @classmethod
    def start(cls, noise: Tensor) -> "CanvasState":
        """Canvases that begin as the random tokens `noise` [S, L]."""
        return cls(noise, torch.full_like(noise, -1), noise.new_zeros(len(noise)))


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of S canvases at the temperature of their steps."""

    drawn: Tensor  # [S, L] int64, a token drawn at random
    best: Tensor  # [S, L] int64, the most likely token
    entropy: Tensor  # [S, L] float32, nats


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of S canvases in a step."""

    entropy_bound: Tensor  # [S] float32, nats
    stability: Tensor  # [S] int64, steps without a change of the draft
    confidence: Tensor  # [S] float32, nats; the mean entropy must be below it
    is_last: Tensor  # [S] bool, no step may follow


@dataclass(frozen=True, slots=True)
class Denoised:
    """S canvases after a step; the answer of those that are finished is their draft."""

    state: CanvasState
    accepted: Tensor  # [S, L] bool
    finished: Tensor  # [S] bool


def temperature_at(t_min: float, t_max: float, step: int, num_steps: int) -> float:
    """Temperature of a step from 0 to `num_steps` - 1: it falls from `t_max`, not quite to `t_min`.

    transformers 5.23 counts steps down to 1: the last one is a step's worth above `t_min`.
    """
    return t_min + (t_max - t_min) * ((num_steps - step) / num_steps)


def accept(entropy: Tensor, bound: Tensor) -> Tensor:
    """The most certain positions whose entropies [S, L], but for the largest, sum to `bound` [S].

    EB-Sampler (Ben-Hamu et al., 2025). At least one position of each canvas is accepted. Sums are
    float64, so that the order of a device's additions does not decide.
    """
    ordered, order = entropy.double().sort(dim=-1, stable=True)
    before = ordered.cumsum(-1) - ordered
    accepted = before <= bound[:, None]
    return torch.empty_like(accepted).scatter_(1, order, accepted)


def denoise(state: CanvasState, predictions: Predictions, noise: Tensor, rules: Rules) -> Denoised:
    """Keep accepted draws, and take `noise` [S, L] elsewhere (transformers 5.23).

    A canvas is finished once its draft is stable and its mean entropy small, or its steps are over.
    """
    accepted = accept(predictions.entropy, rules.entropy_bound)
    same = (predictions.best == state.draft).all(-1)
    unchanged = torch.where(same, state.unchanged + 1, 0)
    confident = predictions.entropy.double().mean(-1) < rules.confidence
    return Denoised(
        CanvasState(torch.where(accepted, predictions.drawn, noise), predictions.best, unchanged),
        accepted,
        (unchanged >= rules.stability) & confident | rules.is_last,
    )
