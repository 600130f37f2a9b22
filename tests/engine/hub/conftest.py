"""An engine for a hub."""

from collections.abc import Iterator

import pytest

from tests.support.engines import make_engine
from unmask.engine.async_engine import AsyncEngine
from unmask.models.registry import LoadedModel


@pytest.fixture
def engine(tiny: LoadedModel) -> Iterator[AsyncEngine]:
    engine = AsyncEngine(make_engine(tiny, num_pages=200, max_queue=4))
    yield engine
    engine.shutdown()
