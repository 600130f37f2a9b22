"""Turns between requests whose every pass is long and all others; no torch."""

from collections.abc import Sequence as Many

from unmask.engine.schedule.sequence import Sequence

SHARE = 2  # rows that light sequences are due for each row of a heavy pass
HEAVY_MULTIPLE, HEAVY_PART = 2, 8  # of the rows that fill the device, and of a step's budget
MAX_PASSED = 256  # sequences that may pass one for which there are no pages


class Turns:
    """Tells when a heavy sequence may run beside light ones, and who has waited longest.

    A sequence is heavy if one pass over its block or canvas takes much more time than a step of
    others does. One heavy pass runs beside light sequences for every so many rows of theirs, so a
    short request is never as slow as the long ones beside it; heavy ones alone share what a step
    holds.
    """

    def __init__(self, budget: int, saturation_rows: int) -> None:
        self._heavy_rows = max(HEAVY_MULTIPLE * saturation_rows, budget // HEAVY_PART)
        self._saturation_rows = saturation_rows
        self._rows_due = 0  # of light sequences, before the next heavy pass
        self.step = 0

    def is_heavy(self, sequence: Sequence) -> bool:
        """True if a pass of this sequence takes much longer than a step of others."""
        return sequence.rows_per_pass > self._heavy_rows

    @property
    def is_heavy_due(self) -> bool:
        """True if light sequences have had their share since the last heavy pass."""
        return self._rows_due <= 0

    def may_be_heavy(self, running: Many[Sequence]) -> bool:
        """True if a heavy sequence may run in the step that begins, beside those that run."""
        return self.is_heavy_due or all(map(self.is_heavy, running))

    def begin(self) -> None:
        """A step begins."""
        self.step += 1

    def ran(self, sequence: Sequence) -> None:
        """Note that a sequence is part of this step."""
        sequence.last_step = self.step

    def end(self, light_rows: int, heavy_rows: int) -> None:
        """Note what a step computes."""
        if heavy_rows:
            self._rows_due = SHARE * heavy_rows
        elif light_rows:
            # A step of few rows takes as long as one that fills the device.
            self._rows_due -= max(light_rows, self._saturation_rows)

    def kept_waiting(self, running: Many[Sequence]) -> Sequence | None:
        """The sequence that ran longest ago, if more steps ago than there are sequences.

        New ones that end as fast as they come must not take its rows for ever.
        """
        may_be_heavy = self.may_be_heavy(running)
        may_run = [
            sequence
            for sequence in running
            if not sequence.must_wait and (may_be_heavy or not self.is_heavy(sequence))
        ]
        return longest_idle(may_run, self.step - len(running))

    @staticmethod
    def longest_waiting(sequences: Many[Sequence]) -> list[Sequence]:
        """In the order of the steps in which they ran last."""
        return sorted(sequences, key=lambda sequence: sequence.last_step)


def longest_idle(sequences: Many[Sequence], step: int) -> Sequence | None:
    """The sequence that ran longest ago, if that was before a step."""
    first = min(sequences, key=lambda sequence: sequence.last_step, default=None)
    return first if first is not None and first.last_step < step else None
