"""Shared checkpoints, and Triton's interpreter on machines without a GPU."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read as triton is imported, by whatever test is first
    from unmask_kernels.testing import interpreter

    interpreter.install()

from tests.support.cases import choose_examples, mark_rare_cases
from tests.support.tiny import write_checkpoint
from tests.support.turns import one_before_the_others
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model


@pytest.hookimpl(wrapper=True, optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Half as many again as pytest-xdist takes: many tests wait for processes or for a time."""
    return (yield) * 3 // 2


def pytest_configure(config: pytest.Config) -> None:
    choose_examples(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Have the garbage collector run seldom, and never over modules and tests.

    They live to the end. To walk over them and over automata took a sixth of the tests' time.
    """
    gc.disable()
    try:
        with one_before_the_others(session.config):
            return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 10)
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: started last, one would keep a single worker busy at the end."""
    mark_rare_cases(items)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LoadedModel:
    return load_model(ModelConfig(path=str(tiny_folder), dtype="float32"), DecodingConfig())


@pytest.fixture(scope="session")
def tiny_on_cpu(tiny_folder: Path) -> LoadedModel:
    """`tiny` on a CPU, with a GPU or without."""
    config = ModelConfig(path=str(tiny_folder), device="cpu", dtype="float32")
    return load_model(config, DecodingConfig())
