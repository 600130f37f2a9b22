"""Golden checkpoints, each loaded once."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.support.golden import load_golden
from unmask.config import AttentionName
from unmask.models.registry import LoadedModel


@pytest.fixture(scope="session")
def golden_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LoadedModel]:
    @cache
    def load(folder: str, attention: AttentionName | None = None) -> LoadedModel:
        return load_golden(folder, tmp_path_factory.mktemp(folder), attention)

    return load
