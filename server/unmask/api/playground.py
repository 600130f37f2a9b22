"""The playground's page, with policies and bounds of its controls from their tables."""

import json
from importlib.resources import files
from typing import Any

from unmask.parameter import Parameter
from unmask.sampling_params import PARAMETERS
from unmask_kernels.policies.table import POLICIES

MARK = '<script type="application/json" id="table">'


def playground_page() -> str:
    """HTML of `playground.html` with the tables as JSON in its script `table`."""
    page = files("unmask.api").joinpath("playground.html").read_text(encoding="utf-8")
    before, mark, after = page.partition(MARK)
    assert mark, f"playground.html has no {MARK}"
    policies = [
        {
            "name": policy.name,
            "meaning": policy.meaning,
            "number": policy.numbers[0].name if policy.numbers else None,
        }
        for policy in POLICIES
    ]
    bounds = {row.name: _bounds(row) for row in PARAMETERS.values() if row.low is not None}
    return before + mark + json.dumps({"policies": policies, "bounds": bounds}) + after


def _bounds(row: Parameter) -> dict[str, Any]:
    """Attributes of an input of numbers."""
    attributes = {"min": row.low, "max": row.high}
    return {name: value for name, value in attributes.items() if value is not None}
