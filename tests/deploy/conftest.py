"""An application to ask, and the series that a server exports, by name, with their labels."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import call, engine, metrics  # noqa: F401
from tests.support.engines import make_engine
from unmask.models.registry import LoadedModel

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


@pytest.fixture(scope="session")
def exported(tiny: LoadedModel) -> dict[str, set[str]]:
    """Labels by the name of each series, `up` of Prometheus included."""
    own = make_engine(tiny).metrics
    own.record_answer("GET", "/health", 200, 0.1)
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(own.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found
