"""Options of refinements, whose bounds hold in every process."""

import pytest

from unmask.errors import InvalidRequest
from unmask.types import RefinementOptions


@pytest.mark.parametrize(
    ("name", "value"), [("every", 0), ("every", -1), ("max_fps", 0), ("max_fps", -1.0)]
)
def test_refinements_that_can_never_come_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=f"^stream_refinements.{name} must be") as caught:
        RefinementOptions(**{name: value})  # type: ignore[arg-type]
    assert caught.value.field == f"stream_refinements.{name}"
