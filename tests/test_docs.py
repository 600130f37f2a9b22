"""The page of metrics lists what there is, and nothing else."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.engines import make_engine
from unmask.models.registry import LoadedModel

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"


def test_every_metric_is_explained(tiny: LoadedModel) -> None:
    families = text_string_to_metric_families(make_engine(tiny).metrics.render().decode())
    exported = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families
        if not family.name.endswith("_created")
    }
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {name for line in table for name in re.findall(r"`(unmask_\w+)", line)}
    assert documented == exported
