"""Several open blocks of an answer whose every position sees all others (d3LLM).

After `generate_multi_block` and `generate_multi_block_kv_cache` of hao-ai-lab/d3LLM, as they run:

- A block opens in the pass after the last open one is filled to a share, one a pass.
- Every open position that the policy's number lets through is filled. Only the first block with a
  masked position has to be filled by its quota. In LLaDA's loop the best position of all open
  blocks is filled as well; see `block_entries`.
- Positions behind the first end of sequence take that token too, and no block opens any more. In
  the pass that sees them first they still count as masked, to the end of the answer: they may be
  the best position, and the first block's. Their token stays.
- Keys may be kept; see `DelayedKeys`.

A token never changes before the first end of sequence, so text is final up to the first mask. The
share of a block from which the authors call the next one activated decides nothing there: the block
that they force is always the first with a masked position. With a temperature, LLaDA's loop forces
the likeliest token; here it is drawn like any other.
"""

from dataclasses import dataclass, field

import numpy as np

from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.open_blocks import OpenBlocks
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.revised_blocks import RevisedBlocks
from unmask.types import MAX_BLOCK_LENGTH


@dataclass(slots=True)
class DelayedKeys:
    """Keys of positions before `end`, which are kept from one pass to the next.

    A full block's are kept from the pass `delay` after the first that sees it and all before it
    full, the prompt's from pass `delay` on. If `one_waits`, that pass does not count before those
    of the last block are kept. All keys are computed anew in every pass while a block waits, and in
    each `interval`-th pass, unless a block's are kept from that very pass on.
    """

    delay: int
    interval: int
    one_waits: bool
    end: int = 0
    num_passes: int = 0
    # Passes that saw the blocks from `end` on full first; the prompt always is.
    full_since: list[int] = field(default_factory=lambda: [0])
    start: int = 0  # of the positions that the next pass computes

    def go_on(self, masked: BoolArray, origin: int, block_len: int, fill_end: int) -> None:
        """Tell what the next pass computes and keeps; the first block begins at `origin`."""
        self.num_passes += 1
        kept, start, num_full, num_kept = self.end, self.end, 0, 0
        while start < fill_end:
            end = origin if start < origin else min(start + block_len, fill_end)
            if start >= origin and masked[start:end].any():
                break
            if num_full == len(self.full_since):
                self.full_since.append(self.num_passes)
            if self.num_passes - self.full_since[num_full] >= self.delay:
                self.end, num_kept = end, num_kept + 1
            elif self.one_waits:
                break
            start, num_full = end, num_full + 1
        del self.full_since[:num_kept]
        is_due = bool(self.full_since) or self.num_passes % self.interval == 0
        self.start = 0 if self.end == kept and is_due else kept


@dataclass(slots=True)
class PipelinedBlocks:
    """The open blocks of one answer from `start` on; the answer's last one may be shorter.

    `steps` are their denoising steps. Behind `ended_at` is nothing but `end_id`, None for an answer
    that goes on after it. While `has_fresh_end`, positions there count as masked.
    """

    most: int
    block_len: int
    add_threshold: float
    origin: int  # of the first block
    end_id: int | None
    keys: DelayedKeys | None
    start: int = 0
    num_closing: int = 0
    steps: list[int] = field(default_factory=list)
    ended_at: int | None = None
    has_fresh_end: bool = False

    @classmethod
    def of(cls, decoding: Decoding, origin: int, end_id: int | None) -> "PipelinedBlocks":
        """No blocks yet; `end_id` is the model's, which may not end this answer."""
        sampling, keys = decoding.sampling, None
        assert sampling.add_block_threshold is not None, "every default is filled in"
        if decoding.cache == "delayed":
            assert sampling.cache_delay_iter is not None, "every default is filled in"
            assert sampling.refresh_interval is not None, "every default is filled in"
            delay, interval = sampling.cache_delay_iter, sampling.refresh_interval
            keys = DelayedKeys(delay, interval, one_waits=decoding.fills_best)
        return cls(
            *(decoding.open_blocks, decoding.block_len, sampling.add_block_threshold, origin),
            end_id if end_id in decoding.stop_ids else None,
            keys,
        )

    def go_on(self, tokens: IntArray, masked: BoolArray, start: int, fill_end: int) -> int:
        """Count a step of each, close those before `start`, open at most one; returns their end."""
        self.num_closing = (start - self.start) // self.block_len if self.steps else 0
        self.steps = [count + 1 for count in self.steps[self.num_closing :]]
        self.start = start
        self._end_answer(tokens, masked, fill_end)
        end = self._open_blocks(masked, fill_end)
        if self.keys is not None:
            self.keys.go_on(masked, self.origin, self.block_len, fill_end)
        return end

    def quotas(self, of_steps: tuple[int, ...]) -> list[int]:
        """The fewest positions that each block fills next; `of_steps` are those of its steps."""
        first = of_steps[min(self.steps[0], len(of_steps) - 1)]
        return [first, *[0] * (len(self.steps) - 1)]

    def counts_as_masked(self, positions: IntArray) -> BoolArray:
        """True where scored positions [N] count as masked though the pass sees their token."""
        if self.ended_at is None or not self.has_fresh_end:
            return np.zeros(len(positions), np.bool_)
        return positions > self.ended_at

    def _end_answer(self, tokens: IntArray, masked: BoolArray, fill_end: int) -> None:
        """Write ends of sequence behind the first one."""
        if self.end_id is None:
            return
        last = fill_end
        if self.ended_at is not None:
            last = self.ended_at
            masked[last + 1 : fill_end] = False
        is_end = (tokens[self.origin : last] == self.end_id) & ~masked[self.origin : last]
        self.has_fresh_end = bool(is_end.any())
        if self.has_fresh_end:
            self.ended_at = self.origin + int(is_end.argmax())
            tokens[self.ended_at + 1 : fill_end] = self.end_id

    def _open_blocks(self, masked: BoolArray, fill_end: int) -> int:
        """Open what is due; returns the end of the last open block."""
        end = fill_end
        if self.ended_at is None:
            end = min(self.start + len(self.steps) * self.block_len, fill_end)
            may_open = not self.steps or len(self.steps) < self.most
            if may_open and end < fill_end and self._is_due(masked, end):
                end = min(end + self.block_len, fill_end)
        elif not self.has_fresh_end:
            end = self.ended_at + 1
        most = MAX_BLOCK_LENGTH // self.block_len  # that have places on the device
        count = max(1, min(-(-(end - self.start) // self.block_len), most))
        self.steps = [*self.steps[:count], *[0] * (count - len(self.steps))]
        return min(end, self.start + count * self.block_len)

    def _is_due(self, masked: BoolArray, end: int) -> bool:
        """True if the last open block, which ends at `end`, is filled enough, or there is none."""
        if not self.steps:
            return True
        last = masked[self.start + (len(self.steps) - 1) * self.block_len : end]
        return bool(1.0 - int(last.sum()) / len(last) >= self.add_threshold)


SeveralBlocks = OpenBlocks | PipelinedBlocks | RevisedBlocks


def several_blocks(
    decoding: Decoding, num_prompt: int, end_id: int | None, *, is_full: bool
) -> SeveralBlocks | None:
    """No blocks yet; None for a request whose blocks are denoised one at a time."""
    if decoding.open_blocks == 1:
        return None
    if is_full:
        return PipelinedBlocks.of(decoding, num_prompt, end_id)
    if decoding.revises_several:
        return RevisedBlocks.of(decoding, num_prompt)
    return OpenBlocks.of(decoding, num_prompt)
