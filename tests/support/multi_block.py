"""Several open blocks as Diffulex's `multi_bd` runs them, over whole sequences in plain torch.

After `MultiBlockReqTemplate` and `SDARSampler` of SJTU-DENG-Lab/Diffulex (branch mbd-lms): blocks
in a buffer that are dummies, active or to be cached, moved on before and after each forward pass.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tests.support.forward import block_causal, logits_of
from tests.support.policy_loops import Written
from unmask.models.registry import LoadedModel

State = Literal["active", "to_cache", "in_cache", "dummy"]


@dataclass
class Block:
    start: int
    end: int
    state: State

    def progress(self, x: Tensor, mask: int) -> float:
        length = self.end - self.start
        return (length - int((x[self.start : self.end] == mask).sum())) / length


@dataclass(frozen=True)
class Buffer:
    """Settings of a buffer of so many blocks."""

    size: int
    block_len: int
    accept: float
    add: float
    semi_complete: float


def write_several(
    loaded: LoadedModel, prompt: tuple[int, ...], num_tokens: int, buffer: Buffer
) -> Written:
    """Fill an answer greedily; counts the forward passes that have an active block."""
    mask = loaded.info.mask_token_id
    assert mask is not None
    size, first, end = buffer.block_len, len(prompt), len(prompt) + num_tokens
    num_prefix, last = first // size, -(-end // size)
    x = torch.full((last * size,), mask)
    x[:first] = torch.tensor(prompt)
    blocks = [
        Block(i * size, (i + 1) * size, "in_cache" if i < num_prefix else "dummy")
        for i in range(last)
    ]
    if first % size:
        blocks[num_prefix].state = "active"
    front, forwards = num_prefix, 0  # the first block of the buffer
    while (x[:end] == mask).any():
        in_buffer = blocks[front : front + buffer.size]
        _activate(in_buffer, blocks[front - 1] if front else None, x, mask, buffer)
        forwards += any(block.state == "active" for block in in_buffer)
        num_seen = max(block.end for block in in_buffer if block.state != "dummy")
        logits = logits_of(loaded, x[:num_seen], block_causal(num_seen, size)).double()
        filled = x.clone()
        for i, block in enumerate(blocks[:last]):
            if block.state == "active" and block in in_buffer:
                before = blocks[i - 1] if i else None
                _fill(block, before, logits, x, filled, mask, buffer)
        x = filled
        front += _close(blocks, front, x, mask, buffer)
    return Written(x[first:end].tolist(), forwards)


def _activate(
    in_buffer: list[Block], before: Block | None, x: Tensor, mask: int, buffer: Buffer
) -> None:
    """One more block, if the last that is no dummy is filled enough, or there is none."""
    valid = [block for block in in_buffer if block.state != "dummy"]
    if not valid:
        assert before is None or before.state == "in_cache"
        in_buffer[0].state = "active"
    elif len(valid) < len(in_buffer) and valid[-1].progress(x, mask) >= buffer.add:
        in_buffer[len(valid)].state = "active"


def _fill(
    block: Block,
    before: Block | None,
    logits: Tensor,
    x: Tensor,
    filled: Tensor,
    mask: int,
    buffer: Buffer,
) -> None:
    """Accept tokens of one block, by the state before the pass."""
    masked = (x[block.start : block.end] == mask).nonzero()[:, 0] + block.start
    if not len(masked):
        return
    of_block = logits[masked]
    probs = of_block.softmax(-1)
    of_block[:, mask] = -torch.inf
    best = of_block.argmax(-1)
    confidence = probs.gather(-1, best[:, None])[:, 0]
    accepted = confidence >= buffer.accept
    may_force = before is None or before.progress(x, mask) >= buffer.semi_complete
    if may_force and not accepted.any():
        accepted[confidence.argmax()] = True
    filled[masked[accepted]] = best[accepted]


def _close(blocks: list[Block], front: int, x: Tensor, mask: int, buffer: Buffer) -> int:
    """Move blocks of the buffer on; returns how many of them leave it."""
    num_left = 0
    for i in range(front, min(front + buffer.size, len(blocks))):
        block = blocks[i]
        is_ready = i == 0 or blocks[i - 1].state in ("to_cache", "in_cache")
        if block.state == "to_cache":
            block.state = "in_cache"
            num_left += 1
        elif block.state == "active" and block.progress(x, mask) == 1.0 and is_ready:
            block.state = "to_cache"
    return num_left
