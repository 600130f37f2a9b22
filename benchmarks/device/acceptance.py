"""Fixed acceptance of drafts: random weights would tell nothing of how many are right."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from unmask.engine.apply import commit
from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.verification import note_verified


@contextmanager
def fixed(num_tokens: int | None) -> Iterator[None]:
    """Every verification keeps `num_tokens`, the one in place of a wrong token included.

    The steps are those of the model's own verdict: the same rows are computed and scored, and the
    result is replaced as it is applied. None leaves the verdict to the model. At the end of an
    answer fewer are kept.
    """
    if num_tokens is None:
        yield
        return

    def note(sequence: Sequence, tokens: IntArray) -> int:
        first = sequence.block_start + 1
        drafted = sequence.tokens[first : first + len(tokens)]
        num_right = min(num_tokens - 1, len(drafted))
        verdict = tokens.copy()
        verdict[:num_right] = drafted[:num_right]
        if num_right < len(drafted):
            verdict[num_right] = 1 if drafted[num_right] == 0 else 0
        return note_verified(sequence, verdict)

    with mock.patch.object(commit, "note_verified", note):
        yield
