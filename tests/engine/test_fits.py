"""Requests that a step and all pages together just hold, and those that they do not."""

import pytest

from unmask.engine.schedule.fits import check_fits, most_positions
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest
from unmask.types import SamplingParams

LIMITS = EngineLimits(max_batch_tokens=64, num_pages=7, page_size=16)
PLAIN, GUIDED = SamplingParams(), SamplingParams(cfg_scale=0.5)  # has two canvases


@pytest.mark.parametrize(
    ("num_positions", "num_rows", "params", "field"),
    [
        (7 * 16, 64, PLAIN, None),
        (7 * 16 + 1, 64, PLAIN, "max_tokens"),
        (7 * 16, 65, PLAIN, "block_length"),
        (3 * 16, 64, GUIDED, None),
        (3 * 16 + 1, 64, GUIDED, "cfg_scale"),
    ],
)
def test_all_that_fits_is_taken(
    num_positions: int, num_rows: int, params: SamplingParams, field: str | None
) -> None:
    if field is None:
        check_fits(num_positions, 32, num_rows, LIMITS, params)
        return
    with pytest.raises(InvalidRequest) as refused:
        check_fits(num_positions, 32, num_rows, LIMITS, params)
    assert refused.value.field == field


def test_an_answer_may_have_as_many_positions_as_whole_pages_hold() -> None:
    assert most_positions(LIMITS, PLAIN, is_full=False) == 7 * 16
    assert most_positions(LIMITS, GUIDED, is_full=False) == 3 * 16
    assert most_positions(LIMITS, PLAIN, is_full=True) == 64
    assert most_positions(LIMITS, GUIDED, is_full=True) == 32
