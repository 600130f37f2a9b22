"""Several open blocks whose tokens may be revised until they rest (MultiBD of DMax and LLaDA2.1).

Every open block fills a position in each pass, whatever the one before it has. A block opens when
the last one is filled to a share and half of its tokens were left alone by the last pass. A block
is closed once it and all before it are at rest, and counts up to the pass that leaves its final
keys. `LLaDA2dot1Sampler`, `LLaDA2DMaxSampler` and `MultiBlockReqTemplate` of SJTU-DENG-Lab/Diffulex
(branch mbd-lms).
"""

from dataclasses import dataclass, field

import numpy as np

from unmask.engine.schedule.block_run import BlockRun
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.query_range import BoolArray, IntArray

STABLE = 0.5  # share of a block's tokens that a pass leaves before the next block opens


@dataclass(slots=True)
class RevisedBlocks(BlockRun):
    """Open blocks that are closed once they rest.

    `post_steps` are the steps of a block that began without a mask.
    """

    post_steps: list[int] = field(default_factory=list)
    at_rest: list[bool] = field(default_factory=list)
    stable_share: float = 0.0  # of the last block's tokens that the last pass left alone

    @classmethod
    def of(cls, decoding: Decoding, num_prompt: int) -> "RevisedBlocks":
        """No blocks yet."""
        add = decoding.sampling.add_block_threshold
        assert add is not None, "every default is filled in"
        return cls(decoding.open_blocks, decoding.block_len, add, decoding.stop_ids, num_prompt)

    @property
    def rests_to(self) -> int:
        """End of the first blocks that are at rest."""
        count = self.at_rest.index(False) if False in self.at_rest else len(self.at_rest)
        return self.start + count * self.block_len

    def go_on(self, tokens: IntArray, masked: BoolArray, start: int, fill_end: int) -> int:
        """Count a step of each, close those before `start`, open at most one; returns their end."""
        self.close(start)
        del self.post_steps[: self.num_closing], self.at_rest[: self.num_closing]
        if not self.steps:
            self._open()
        num_masked = int(np.count_nonzero(masked[self.end - self.block_len : self.end]))
        share = 1.0 - num_masked / self.block_len
        if self.stable_share >= STABLE and self.has_room(tokens, share, fill_end):
            self._open()
        return self.end

    def quotas(self, of_steps: tuple[int, ...]) -> list[int]:
        """The fewest positions that each block fills next."""
        last = len(of_steps) - 1
        return [of_steps[min(step, last)] for step in self.steps]

    def _open(self) -> None:
        self.steps.append(0)
        self.post_steps.append(0)
        self.at_rest.append(False)
