"""Tokens that a request gives as its answer, within it and after it."""

import numpy as np

from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.types import Request


def lay_out_given(
    tokens: IntArray, masked: BoolArray, request: Request, last_end: int, fill_end: int
) -> None:
    """Write a template's tokens and the suffix to a canvas whose answer ends at `last_end`.

    With full attention the suffix follows the positions that are filled, which end there too. Else
    the last block has as much of it as there is room in [last_end, fill_end).
    """
    suffix = np.array(request.suffix_token_ids, np.int64)
    if len(tokens) > fill_end:
        tokens[fill_end:] = suffix
    else:
        behind = slice(last_end, min(last_end + len(suffix), fill_end))
        tokens[behind], masked[behind] = suffix[: behind.stop - last_end], False
    if request.template is None:
        return
    first = len(request.prompt_token_ids)
    for i, token_id in enumerate(request.template.token_ids, first):
        if token_id is not None:
            tokens[i], masked[i] = token_id, False


def lay_out_draft(
    tokens: IntArray, masked: BoolArray, request: Request, start: int, end: int
) -> None:
    """Write an answer that is given to positions [start, end), as a draft to be verified."""
    first = len(request.prompt_token_ids)
    tokens[start:end] = request.given_answer[start - first : end - first]
    masked[start:end] = False
