"""Answers that grow and shrink while they are filled, as DreamOn is decoded.

A mask that is to become an expansion becomes two masks instead, one that is to become a deletion is
taken out. Text behind the answer moves along.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask_kernels.scoring.request_constraint import Constraint

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NUMBER_OF_MASK = 4  # of the authors' quickstart


@dataclass(frozen=True, slots=True)
class LengthRules:
    """Commands of one request, and their limits: `most_expansions` in all of its steps.

    `when_full` are its constraints where no mask may expand.
    """

    expand_token_id: int
    delete_token_ids: tuple[int, ...]
    first_len: int  # masks that the answer begins with
    max_len: int
    most_expansions: int
    when_full: Constraint
    pad_delete_to_right: bool = False  # a deletion takes all masks behind it along

    @property
    def command_ids(self) -> tuple[int, ...]:
        """Tokens that are carried out instead of being written."""
        return self.expand_token_id, *self.delete_token_ids

    @property
    def most_steps(self) -> int:
        """Steps after which no mask is left: each fills one, deletes one or expands one."""
        return self.first_len + 2 * self.most_expansions


@dataclass(slots=True)
class VariableLength:
    """Expansions of one answer so far."""

    rules: LengthRules
    num_expansions: int = 0

    @classmethod
    def by_rules(cls, rules: LengthRules | None) -> "VariableLength | None":
        """The state of a new answer; None for one of fixed length."""
        return None if rules is None else cls(rules)

    def is_full(self, length: int) -> bool:
        """True if an answer that has `length` tokens and masks may not grow."""
        most = self.rules.most_expansions
        return length >= self.rules.max_len or self.num_expansions >= most

    def places(self, token_ids: IntArray, masked: BoolArray, filled: IntArray) -> IntArray | None:
        """Origin of each position once commands at `filled` ones are carried out.

        Both masks of an expansion come from its position. None without a command.
        """
        written = token_ids[filled]
        expands = filled[written == self.rules.expand_token_id]
        deletes = filled[np.isin(written, self.rules.delete_token_ids)]
        if not len(expands) and not len(deletes):
            return None
        self.num_expansions += len(expands)
        copies = np.ones(len(token_ids), np.int64)
        copies[expands], copies[deletes] = 2, 0
        if self.rules.pad_delete_to_right and len(deletes):
            first = int(deletes.min())
            copies[first:][masked[first:]] = 0
        return np.arange(len(token_ids)).repeat(copies)
