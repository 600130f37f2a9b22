"""The playground's page, with policies, bounds and limits of its controls from their tables."""

import json
from importlib.resources import files
from typing import Any

from unmask.api.images import MAX_IMAGES
from unmask.image_files import FORMATS
from unmask.parameter import Parameter
from unmask.sampling_params import PARAMETERS
from unmask_kernels.policies.table import POLICIES

TABLE_MARK = '<script type="application/json" id="table">'
IMAGES_MARK = "/* playground_images.js */\n"


def playground_page(max_body_bytes: int) -> str:
    """HTML of `playground.html` with the script of images and, as JSON, the tables in it.

    Images are scaled down in the page until a body has at most `max_body_bytes`.
    """
    policies = [
        {
            "name": policy.name,
            "meaning": policy.meaning,
            "number": policy.numbers[0].name if policy.numbers else None,
        }
        for policy in POLICIES
    ]
    tables = {
        "policies": policies,
        "bounds": {row.name: _bounds(row) for row in PARAMETERS.values() if row.low is not None},
        "images": {"types": [f"image/{name.lower()}" for name in FORMATS], "most": MAX_IMAGES},
        "max_body_bytes": max_body_bytes,
    }
    page = _put(_text("playground.html"), IMAGES_MARK, _text("playground_images.js"))
    return _put(page, TABLE_MARK, TABLE_MARK + json.dumps(tables))


def _text(name: str) -> str:
    return files("unmask.api").joinpath(name).read_text(encoding="utf-8")


def _put(page: str, mark: str, text: str) -> str:
    """The page with a text in place of a mark."""
    before, found, after = page.partition(mark)
    assert found, f"playground.html has no {mark}"
    return before + text + after


def _bounds(row: Parameter) -> dict[str, Any]:
    """Attributes of an input of numbers."""
    attributes = {"min": row.low, "max": row.high}
    return {name: value for name, value in attributes.items() if value is not None}
