"""Scored rows of answers that are given, and the tokens that stand there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.span import Span


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows [R] among the scored ones of a step, and their tokens [R]."""

    rows: IntArray
    tokens: IntArray

    @classmethod
    def of_spans(
        cls, denoised: Sequence[Span], which: Sequence[int], starts: IntArray, positions: IntArray
    ) -> "GivenRows":
        """Rows of the spans `which`; `positions` [M] begin at `starts` [B + 1] in each span."""
        rows, tokens = [], []
        for i in which:
            request, own = denoised[i].sequence.request, np.arange(*starts[i : i + 2])
            places = positions[own] - len(request.prompt_token_ids)
            rows.append(own)
            tokens.append(np.array([request.given_answer[k] for k in places.tolist()], np.int64))
        return cls(np.concatenate(rows), np.concatenate(tokens))
