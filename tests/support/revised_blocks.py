"""Several open blocks whose tokens are revised, as Diffulex runs them, over whole sequences.

After `LLaDA2DMaxSampler`, `LLaDA2dot1Sampler` and `MultiBlockReqTemplate` of SJTU-DENG-Lab/Diffulex
(branch mbd-lms). Keys of a block that is committed are those of its tokens, and a block that is
edited is over after the last pass allowed, as where it is alone.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tests.support.forward import block_causal, logits_of
from tests.support.policy_loops import Written
from unmask.models.inputs import Mixture
from unmask.models.registry import LoadedModel

State = Literal["active", "to_cache", "in_cache", "dummy"]
SURE, POST_STEPS = 0.9, 16


@dataclass(frozen=True)
class Settings:
    """A buffer of so many blocks; tokens are mixed, or edited above a confidence."""

    size: int
    block_len: int
    accept: float
    add: float
    stability: float = 0.5
    edit: float | None = None


@dataclass
class Block:
    start: int
    end: int
    state: State
    editable: int
    is_ready: bool = False
    same_ratio: float = 0.0
    steps: int = 0
    post_steps: int = 0


@dataclass
class Revision:
    """One answer as it is written."""

    x: Tensor
    shares: Tensor
    mask: int
    settings: Settings

    def activate(self, in_buffer: list[Block]) -> None:
        valid = [block for block in in_buffer if block.state != "dummy"]
        if not valid:
            in_buffer[0].state = "active"
            return
        last = valid[-1]
        progress = float((self.x[last.start : last.end] != self.mask).float().mean())
        is_due = progress >= self.settings.add and last.same_ratio >= self.settings.stability
        if len(valid) < len(in_buffer) and is_due:
            in_buffer[len(valid)].state = "active"

    def rewrite(self, block: Block, logits: Tensor) -> None:
        """Predict all of a block anew, and tell whether it is ready."""
        own = slice(block.editable, block.end)
        before, of_block = self.x[own].clone(), logits[own].clone()
        probs = of_block.softmax(-1)
        of_block[:, self.mask] = -torch.inf
        best = of_block.argmax(-1)
        sure = probs.gather(-1, best[:, None])[:, 0]
        is_mask = before == self.mask
        after = before.clone()
        if self.settings.edit is None:
            self._mix(own, before, after, best, sure)
            same = bool((after == before).all())
            is_out = block.steps + 1 >= self.settings.block_len
            is_full = not bool((after == self.mask).any())
            block.is_ready = is_full and (same or is_out or bool((sure >= SURE).all()))
        else:
            takes = is_mask & (sure >= self.settings.accept)
            if is_mask.any() and not takes.any():
                takes[int(sure.where(is_mask, -1.0).argmax())] = True
            takes |= ~is_mask & (sure > self.settings.edit) & (best != before)
            after[takes] = best[takes]
            block.post_steps += not is_mask.any()
            is_out = block.post_steps >= POST_STEPS
            block.is_ready = block.post_steps > 0 and (is_out or not bool(takes.any()))
        kept = (after == before)[~is_mask]
        block.same_ratio = float(kept.float().mean()) if len(kept) else 1.0
        block.steps += 1
        self.x[own] = after

    def _mix(self, own: slice, before: Tensor, after: Tensor, best: Tensor, sure: Tensor) -> None:
        """Take the first masked positions up to one that is unsure, and all that are filled."""
        is_mask = before == self.mask
        after[~is_mask] = best[~is_mask]
        for number, i in enumerate(is_mask.nonzero()[:, 0].tolist()):
            if sure[i] < self.settings.accept and number > 0:
                break
            after[i] = best[i]
            if sure[i] < self.settings.accept:
                break
        self.shares[own] = sure.float().where(after != self.mask, 1.0)


def write_revised(
    loaded: LoadedModel, prompt: tuple[int, ...], num_tokens: int, settings: Settings
) -> Written:
    """Write an answer greedily; counts the forward passes that have an active block."""
    mask = loaded.info.mask_token_id
    assert mask is not None
    size, first, end = settings.block_len, len(prompt), len(prompt) + num_tokens
    num_prefix, count = first // size, -(-end // size)
    x = torch.full((count * size,), mask)
    x[:first] = torch.tensor(prompt)
    written = Revision(x, torch.ones(len(x)), mask, settings)
    blocks = [
        Block(i * size, (i + 1) * size, "in_cache", max(i * size, first)) for i in range(count)
    ]
    for block in blocks[num_prefix:]:
        block.state = "dummy"
    front, forwards = num_prefix, 0
    while any(block.state in ("active", "dummy") for block in blocks):
        in_buffer = blocks[front : front + settings.size]
        written.activate(in_buffer)
        active = [block for block in in_buffer if block.state == "active"]
        forwards += bool(active)
        seen = max(block.end for block in in_buffer if block.state != "dummy")
        shares = torch.ones(seen)
        for block in active:
            shares[block.start : block.end] = written.shares[block.start : block.end]
        mixture = Mixture(shares, mask) if settings.edit is None else None
        logits = logits_of(loaded, x[:seen], block_causal(seen, size), mixture=mixture).double()
        for block in active:
            written.rewrite(block, logits)
        for i in range(front, front + len(in_buffer)):
            block, is_next = blocks[i], i == 0 or blocks[i - 1].state in ("to_cache", "in_cache")
            if block.state == "to_cache":
                block.state, front = "in_cache", front + 1
            elif block.state == "active" and block.is_ready and is_next:
                block.state = "to_cache"
    return Written(x[first:end].tolist(), forwards)
