"""From hidden states to tokens and their statistics, beside the bare product and torch's chain."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.timing import Ceilings, timed
from unmask_kernels.scoring.gpu.scores import score_hidden
from unmask_kernels.scoring.types import Draws


@dataclass(frozen=True)
class Shape:
    """Masked rows of a step, and the LM head."""

    rows: int = 2048
    hidden: int = 4096
    vocab: int = 151_936

    @property
    def num_bytes(self) -> int:
        return 2 * self.vocab * self.hidden + 2 * self.rows * self.hidden

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.vocab * self.hidden


def eager(hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The peers' way: all logits, a softmax in float32, its maximum and its entropy."""
    probs = (hidden @ head.T).float().softmax(-1)
    confidence, token = probs.max(-1)
    return token, confidence, torch.special.entr(probs).sum(-1)


def draws(rows: int, device: torch.device) -> Draws:
    numbers = torch.arange(rows, device=device)
    return Draws(torch.full((rows,), 0.7, device=device), numbers * 977, numbers, numbers % 8)


def compare(shape: Shape, ceilings: Ceilings, device: torch.device) -> dict[str, Any]:
    hidden = torch.randn(shape.rows, shape.hidden, device=device).bfloat16()
    head = (torch.randn(shape.vocab, shape.hidden, device=device) / shape.hidden**0.5).bfloat16()
    mask = shape.vocab - 1
    floor_s = ceilings.floor_s(shape.num_bytes, shape.flops)
    product = timed(lambda: hidden @ head.T, graph=True)
    ours = timed(lambda: score_hidden(hidden, head, mask, None), graph=True)
    heat = draws(shape.rows, device)
    drawn = timed(lambda: score_hidden(hidden, head, mask, heat), graph=True)
    chain = timed(lambda: eager(hidden, head), graph=True)
    return {
        "shape": shape.__dict__,
        "bytes": shape.num_bytes,
        "flops": shape.flops,
        "floor_us": 1e6 * floor_s,
        "us": ours.median_us,
        "spread_us": [1e6 * ours.low_s, 1e6 * ours.high_s],
        "us_drawn": drawn.median_us,
        "product_us": product.median_us,
        "times_product": ours.median_s / product.median_s,
        "eager_us": chain.median_us,
        "times_faster_than_eager": chain.median_s / ours.median_s,
        "extra_mib": _extra_mib(hidden, head, mask),
        **_errors(hidden, head, mask),
    }


def _extra_mib(hidden: Tensor, head: Tensor, mask: int) -> float | None:
    if hidden.device.type != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    score_hidden(hidden, head, mask, None)
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated() - before) / 2**20


def _errors(hidden: Tensor, head: Tensor, mask: int) -> dict[str, Any]:
    """Against float64 statistics of the logits as the library rounds them."""
    some = hidden[:64]
    found = score_hidden(some, head, mask, None)
    exact = (some @ head.T).double()
    probs = exact.softmax(-1)
    exact[:, mask] = float("-inf")  # which has its share and is not chosen
    confidence = probs.gather(1, found.token[:, None])[:, 0]
    entropy = torch.special.entr(probs).sum(-1)
    return {
        "same_tokens": float((found.token == exact.argmax(-1)).float().mean()),
        "confidence_error": float((found.confidence - confidence).abs().max()),
        "entropy_error": float((found.entropy - entropy).abs().max()),
    }
