"""Loops of published policies, written out in torch over whole sequences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tests.support.forward import block_causal, full, logits_of
from unmask.models.registry import LoadedModel

# From probabilities [L] of the best tokens of a block's positions, -inf where they are filled, and
# the number of the step in the block: True for positions to fill.
Pick = Callable[[Tensor, int], Tensor]
# Sees and may change logits [L, V] before they are scored, given which positions are masked, the
# number of the step, and the mask token.
Change = Callable[[Tensor, Tensor, int, int], Tensor]


def unchanged(logits: Tensor, is_masked: Tensor, step: int, mask: int) -> Tensor:
    return logits


@dataclass(frozen=True)
class Written:
    """Tokens of an answer, and the forward passes that they took."""

    tokens: list[int]
    forwards: int


def write(
    loaded: LoadedModel,
    prompt: tuple[int, ...],
    num_tokens: int,
    block_len: int,
    pick: Pick,
    change: Change = unchanged,
) -> Written:
    """Fill an answer block after block, greedily; the mask token is never chosen."""
    mask = loaded.info.mask_token_id
    assert mask is not None
    is_full = loaded.info.attention == "full"
    start = len(prompt)
    origin = start if is_full else start // block_len * block_len
    end = start + num_tokens
    length = end if is_full else -(-end // block_len) * block_len
    x = torch.full((length,), mask)
    x[:start] = torch.tensor(prompt)
    horizons: np.ndarray = full(length) if is_full else block_causal(length, block_len)
    forwards = 0
    for first in range(origin, length, block_len):
        block = slice(first, min(first + block_len, length))
        step = 0
        # What is behind the answer is filled only while it has masks itself.
        while (x[block] == mask).any() and (x[start:end] == mask).any():
            is_masked = x[block] == mask
            logits = logits_of(loaded, x, horizons)
            if loaded.info.shift:
                logits = torch.cat((logits[:1], logits[:-1]))
            of_block = change(logits[block].double(), is_masked, step, mask)
            probs = of_block.softmax(-1)
            of_block[:, mask] = -torch.inf
            best = of_block.argmax(-1)
            sure = probs.gather(-1, best[:, None])[:, 0]
            filled = pick(torch.where(is_masked, sure, -torch.inf), step)
            x[block] = torch.where(filled & is_masked, best, x[block])
            forwards, step = forwards + 1, step + 1
    return Written(x[start:end].tolist(), forwards)


def hierarchy(threshold: float, low_threshold: float) -> Pick:
    """dInfer's `HierarchyDecoder.get_transfer_index`, a segment at a time."""

    def pick(sure: Tensor, step: int) -> Tensor:
        chosen = sure > threshold
        start = None
        for i in range(len(sure) + 1):
            is_masked = i < len(sure) and bool(sure[i] > -torch.inf)
            if is_masked and start is None:
                start = i
            if not is_masked and start is not None:
                best = start + int(sure[start:i].argmax())
                chosen[best] |= bool(sure[best] > low_threshold)
                start = None
        chosen[sure.argmax()] = True
        return chosen

    return pick


def local_leap(threshold: float, relaxed_threshold: float, radius: int) -> Pick:
    """LocalLeap's `get_transfer_index`, with the set of positions near an anchor."""

    def pick(sure: Tensor, step: int) -> Tensor:
        near: set[int] = set()
        for anchor in (sure >= threshold).nonzero()[:, 0].tolist():
            near |= {*range(anchor - radius, anchor + radius + 1)}
        order = sure.argsort(descending=True).tolist()
        chosen = torch.zeros(len(sure), dtype=torch.bool)
        chosen[order[0]] = True
        for i in order[1:]:
            chosen[i] = sure[i] >= (relaxed_threshold if i in near else threshold)
        return chosen

    return pick


def ranked(quotas: tuple[int, ...], key: Callable[[Tensor, int], Tensor]) -> Pick:
    """The positions of the highest keys, as many as a schedule says (LLaDA, Dream)."""

    def pick(sure: Tensor, step: int) -> Tensor:
        ranks = torch.where(sure > -torch.inf, key(sure, step), -torch.inf)
        chosen = torch.zeros(len(sure), dtype=torch.bool)
        chosen[ranks.topk(min(quotas[step], len(sure))).indices] = True
        return chosen

    return pick


def chance(times: Tensor, uniform: Callable[[Tensor, int], Tensor]) -> Pick:
    """Dream's `origin`: each position with the chance 1 - s / t, and all in the last step."""

    def pick(sure: Tensor, step: int) -> Tensor:
        is_last = step == len(times) - 2
        share = 1.0 if is_last else float(1 - times[step + 1] / times[step])
        return 1 - uniform(sure, step) < share

    return pick


class Klass:
    """KLASS's `stable_confident_decode`, with a history that begins with each block."""

    def __init__(self, threshold: float, kl_threshold: float) -> None:
        self.threshold, self.kl_threshold = threshold, kl_threshold
        self.last = self.changes = torch.zeros(0)
        self.num_ready = 0

    def change(self, logits: Tensor, is_masked: Tensor, step: int, mask: int) -> Tensor:
        now = logits.softmax(-1)
        if step == 0:
            self.last = torch.zeros_like(now)
            self.changes = torch.zeros(len(now), 2, dtype=torch.float64)
        change = (now * (torch.log(now + 1e-12) - torch.log(self.last + 1e-12))).sum(-1)
        self.changes = torch.stack((self.changes[:, 1], change), 1)
        self.last = now
        return logits

    def pick(self, sure: Tensor, step: int) -> Tensor:
        ready = (self.changes < self.kl_threshold).all(1) & (sure > self.threshold)
        if step >= 1 and ready.any():
            self.num_ready += int(ready.sum()) - 1
            return ready
        return torch.arange(len(sure)) == sure.argmax()


class Credit:
    """dInfer's `CreditThresholdParallelDecoder`, with a matrix of credits for each block."""

    def __init__(self, threshold: float) -> None:
        self.threshold, self.credits = threshold, torch.zeros(0)

    def change(self, logits: Tensor, is_masked: Tensor, step: int, mask: int) -> Tensor:
        if step == 0:
            self.credits = torch.zeros_like(logits)
        else:
            self.credits *= 0.8
        best = logits.index_fill(1, torch.tensor([mask]), -torch.inf).argmax(-1)[:, None]
        earned = logits.softmax(-1).gather(1, best) ** 0.2
        self.credits.scatter_add_(1, best, earned * is_masked[:, None])
        return logits + 0.7 * torch.log(self.credits + 1)

    def pick(self, sure: Tensor, step: int) -> Tensor:
        return sure >= torch.clamp(sure.max() - 1e-5, max=self.threshold)
