"""Several open blocks whose tokens may be revised until they rest (MultiBD of DMax and LLaDA2.1).

Every open block fills a position in each pass, whatever the one before it has. A block opens when
the last one is filled to a share and half of its tokens were left alone by the last pass. A block
is closed once it and all before it are at rest, and counts up to the pass that leaves its final
keys. `LLaDA2dot1Sampler`, `LLaDA2DMaxSampler` and `MultiBlockReqTemplate` of SJTU-DENG-Lab/Diffulex
(branch mbd-lms).
"""

from dataclasses import dataclass, field

import numpy as np

from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.query_range import BoolArray, IntArray

STABLE = 0.5  # share of a block's tokens that a pass leaves before the next block opens


@dataclass(slots=True)
class RevisedBlocks:
    """The open blocks of one sequence from `start` on, each as long as the others.

    `steps` are their denoising steps, `post_steps` those of them that began without a mask.
    `num_closing` blocks before `start` have no final keys yet.
    """

    most: int
    block_len: int
    add_threshold: float
    stop_ids: frozenset[int]
    num_prompt: int
    start: int = 0
    num_closing: int = 0
    steps: list[int] = field(default_factory=list)
    post_steps: list[int] = field(default_factory=list)
    at_rest: list[bool] = field(default_factory=list)
    stable_share: float = 0.0  # of the last block's tokens that the last pass left alone

    @classmethod
    def of(cls, decoding: Decoding, num_prompt: int) -> "RevisedBlocks":
        """No blocks yet."""
        add = decoding.sampling.add_block_threshold
        assert add is not None, "every default is filled in"
        settings = decoding.open_blocks, decoding.block_len, add, decoding.stop_ids
        return cls(*settings, num_prompt)

    @property
    def rests_to(self) -> int:
        """End of the first blocks that are at rest."""
        count = self.at_rest.index(False) if False in self.at_rest else len(self.at_rest)
        return self.start + count * self.block_len

    def go_on(self, tokens: IntArray, masked: BoolArray, start: int, fill_end: int) -> int:
        """Count a step of each, close those before `start`, open at most one; returns their end."""
        count = (start - self.start) // self.block_len if self.steps else 0
        self.num_closing, self.start = count, start
        self.steps = [step + 1 for step in self.steps[count:]]
        del self.post_steps[:count], self.at_rest[:count]
        if not self.steps:
            self._open()
        end = start + len(self.steps) * self.block_len
        if end < fill_end and self._is_due(masked[end - self.block_len : end]):
            answer: list[int] = tokens[max(start, self.num_prompt) : end].tolist()
            if self.stop_ids.isdisjoint(answer):  # nothing behind the end is shown
                self._open()
        return start + len(self.steps) * self.block_len

    def quotas(self, of_steps: tuple[int, ...]) -> list[int]:
        """The fewest positions that each block fills next."""
        last = len(of_steps) - 1
        return [of_steps[min(step, last)] for step in self.steps]

    def _is_due(self, masked: BoolArray) -> bool:
        """True if one more block may be open, given what is masked in the last one."""
        share = 1.0 - int(np.count_nonzero(masked)) / self.block_len
        has_room = len(self.steps) + self.num_closing < self.most
        return has_room and share >= self.add_threshold and self.stable_share >= STABLE

    def _open(self) -> None:
        self.steps.append(0)
        self.post_steps.append(0)
        self.at_rest.append(False)
