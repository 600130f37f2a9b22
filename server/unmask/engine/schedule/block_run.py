"""Run of open blocks, for schedules that denoise several of a sequence in the same passes."""

from dataclasses import dataclass, field

from unmask.engine.schedule.query_range import IntArray


@dataclass(slots=True)
class BlockRun:
    """The open blocks of one sequence from `start` on, each as long as the others.

    `steps` are their denoising steps. `num_closing` blocks before `start` have no final keys yet.
    """

    most: int
    block_len: int
    add_threshold: float
    stop_ids: frozenset[int]
    num_prompt: int
    start: int = 0
    num_closing: int = 0
    steps: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """End of the last open block."""
        return self.start + len(self.steps) * self.block_len

    def close(self, start: int) -> None:
        """Count a step of each block, and close those before `start`."""
        self.num_closing = (start - self.start) // self.block_len if self.steps else 0
        self.steps = [step + 1 for step in self.steps[self.num_closing :]]
        self.start = start

    def has_room(self, tokens: IntArray, share: float, fill_end: int) -> bool:
        """True if one more block may be open, the last one being filled to a share."""
        is_full = len(self.steps) + self.num_closing >= self.most
        if is_full or share < self.add_threshold or self.end >= fill_end:
            return False
        answer: list[int] = tokens[max(self.start, self.num_prompt) : self.end].tolist()
        return self.stop_ids.isdisjoint(answer)  # nothing behind the end is shown
