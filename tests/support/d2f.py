"""D2F's decoding as its authors run it, over whole sequences in plain torch.

After `_generate_block_single` of `D2F-eval/eval_llada.py` and `eval_dream.py`
(SJTU-DENG-Lab/Discrete-Diffusion-Forcing): keys of full blocks are kept there, and computed anew
here, by the same mask. The mask token is never chosen.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tests.support.forward import logits_of
from tests.support.policy_loops import Written
from unmask.models.registry import LoadedModel


@dataclass(frozen=True)
class Pipeline:
    """The authors' settings of a task."""

    block_size: int
    block_add_threshold: float
    decoded_token_threshold: float
    skip_threshold: float


@dataclass
class Block:
    """Positions of a block, or the prompt's, as an entry of the authors' `block_states`."""

    start: int
    end: int
    mask_count: int
    state: Literal["active", "to_cache", "in_cache"]
    is_complete: bool

    @property
    def progress(self) -> float:
        total = self.end - self.start
        return (total - self.mask_count) / total


def block_horizons(num_prompt: int, length: int, block_size: int) -> np.ndarray:
    """Horizons [T] of `create_full_block_attention_mask`: of the prompt, of blocks behind it."""
    past = np.maximum(np.arange(length) - num_prompt, -1)
    return np.minimum(num_prompt + (past // block_size + 1) * block_size, length)


def write_by_d2f(
    loaded: LoadedModel,
    prompt: tuple[int, ...],
    num_tokens: int,
    pipeline: Pipeline,
    eos: int | None = None,
) -> Written:
    """Fill an answer greedily; counts its forward passes."""
    mask, size = loaded.info.mask_token_id, pipeline.block_size
    assert mask is not None
    x = torch.tensor(prompt)
    blocks = [Block(0, len(prompt), 0, "to_cache", is_complete=True)]
    forwards, eos_detected = 0, False
    while True:
        may_add = len(blocks) - 1 < -(-num_tokens // size) and not eos_detected
        if may_add and blocks[-1].progress >= pipeline.block_add_threshold:
            blocks.append(Block(len(x), len(x) + size, size, "active", is_complete=False))
            x = torch.cat((x, torch.full((size,), mask)))
        for before, block in pairwise(blocks):
            block.is_complete |= before.progress >= pipeline.decoded_token_threshold
        if not any(block.state == "active" for block in blocks):
            break
        logits = logits_of(loaded, x, block_horizons(len(prompt), len(x), size))
        if loaded.info.shift:
            logits = torch.cat((logits[:1], logits[:-1]))
        forwards += 1
        for block in blocks:
            if block.state == "to_cache":
                block.state = "in_cache"
        for block in [block for block in blocks if block.state == "active"]:
            eos_detected |= _fill(block, x, logits, mask, eos, pipeline)
        _deactivate(blocks)
    answer = x[len(prompt) :].tolist()
    if eos in answer:
        answer = answer[: answer.index(eos) + 1]
    return Written(answer[:num_tokens], forwards)


def _fill(
    block: Block, x: Tensor, logits: Tensor, mask: int, eos: int | None, pipeline: Pipeline
) -> bool:
    """Take tokens of one block; returns whether one ends the answer."""
    masked = (x[block.start : block.end] == mask).nonzero()[:, 0] + block.start
    if not len(masked):
        return False
    of_block = logits[masked].double()
    probs = of_block.softmax(-1)
    of_block[:, mask] = -torch.inf
    best = of_block.argmax(-1)
    confidence = probs.gather(-1, best[:, None])[:, 0]
    taken = confidence > pipeline.skip_threshold
    if block.is_complete and not taken.any():
        taken[confidence.argmax()] = True
    x[masked[taken]] = best[taken]
    block.mask_count -= int(taken.sum())
    return eos is not None and bool((best[taken] == eos).any())


def _deactivate(blocks: list[Block]) -> None:
    """Full blocks leave, in order."""
    for block in blocks:
        if block.state == "active":
            if block.mask_count:
                return
            block.state = "to_cache"
