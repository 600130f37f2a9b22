"""Penalties of tokens that an answer has already, and the fewest tokens before its end.

Blocks are filled in no order, so a penalty counts the tokens that are committed before a step,
wherever they are. Formulas are vLLM's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, Request
from unmask_kernels.scoring.request_constraint import NEVER, Constraint

PENALTIES = ("presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens")
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Penalties:
    """Penalties of one request; `end_ids` are forbidden in its first `min_tokens` positions."""

    presence: float
    frequency: float
    repetition: float
    prompt_ids: IntArray  # those that count as repeated
    min_tokens: int
    end_ids: tuple[int, ...]

    @classmethod
    def of_request(
        cls, request: Request, model: ModelInfo, stop_ids: frozenset[int], max_tokens: int
    ) -> "Penalties | None":
        """Penalties of a request, None without any; raises `InvalidRequest`."""
        params = request.sampling
        presence, frequency = params.presence_penalty or 0.0, params.frequency_penalty or 0.0
        repetition, min_tokens = params.repetition_penalty or 1.0, params.min_tokens or 0
        if min_tokens > max_tokens:
            raise InvalidRequest(
                f"min_tokens is {min_tokens}, which is more than max_tokens, {max_tokens}",
                field="min_tokens",
            )
        if not (presence or frequency or repetition != 1.0 or min_tokens):
            return None
        known = request.prompt_token_ids if repetition != 1.0 else ()
        ends = tuple(sorted(stop_ids | set(model.eos_token_ids)))
        prompt_ids = np.unique(np.array(known, np.int64))
        made = cls(presence, frequency, repetition, prompt_ids, min_tokens, ends)
        if params.allowed_token_ids is not None:
            never = {model.mask_token_id, *(model.edit_commands or ())}
            made.check_room(set(params.allowed_token_ids) - never)
        return made

    def check_room(self, free_ids: Iterable[int]) -> None:
        """Raise `InvalidRequest` if all tokens that may stand anywhere end the answer."""
        if self.min_tokens and all(token_id in self.end_ids for token_id in free_ids):
            raise InvalidRequest(
                f"min_tokens is {self.min_tokens}, but all tokens that may be generated then end "
                "the answer",
                field="min_tokens",
            )

    @property
    def counts_tokens(self) -> bool:
        """True if the tokens that are committed matter."""
        return bool(self.presence or self.frequency or self.repetition != 1.0)

    def constraint(
        self, base: Constraint | None, committed: IntArray, *, may_end: bool
    ) -> Constraint:
        """The `base` with the penalties of tokens that are committed, and maybe without ends."""
        ids, counts = np.unique(committed, return_counts=True)
        is_text = ~np.isin(ids, self.end_ids)
        ids, counts = ids[is_text], counts[is_text]
        repeated = np.union1d(ids, self.prompt_ids) if self.repetition != 1.0 else ids[:0]
        own = np.empty(0, np.int32) if base is None else base.bias_tokens
        ends = np.array(() if may_end else self.end_ids, np.int64)
        tokens = np.unique(np.concatenate((own, ids, repeated, ends))).astype(np.int32)
        values, factors = np.zeros(len(tokens), np.float32), np.ones(len(tokens), np.float32)
        values[np.searchsorted(tokens, ids)] -= self.presence + self.frequency * counts
        if base is not None:
            values[np.searchsorted(tokens, own)] += base.bias_values
        values[np.searchsorted(tokens, ends)] = NEVER
        factors[np.searchsorted(tokens, repeated)] = self.repetition
        return Constraint(tokens, values, None if base is None else base.allowed, factors)


@dataclass(frozen=True, slots=True)
class RowConstraints:
    """Constraints of a step, and the one of each of its M scored rows."""

    constraints: Sequence[Constraint | None]
    owner: IntArray  # [M]
