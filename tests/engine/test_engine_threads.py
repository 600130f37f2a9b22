"""Numbers of threads that an engine asks for."""

import pytest
import torch

from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine, num_cores, thread_counts
from unmask_kernels.native.threads import get_num_threads, set_num_threads


@pytest.mark.parametrize(
    ("threads", "cores", "expected"),
    [(None, 5, (2, 5)), (None, 1, (1, 1)), (3, 5, (3, 3)), (8, 2, (8, 8))],
)
def test_kernels_use_every_core_and_torch_half_of_them(
    threads: int | None, cores: int, expected: tuple[int, int]
) -> None:
    assert thread_counts(threads, cores) == expected


@pytest.mark.parametrize("threads", [None, 3])
def test_a_loaded_engine_has_set_them(threads: int | None) -> None:
    expected, before = thread_counts(threads, num_cores()), torch.get_num_threads()
    try:
        Engine.load(Config(engine=EngineConfig(threads=threads)))
        assert (torch.get_num_threads(), get_num_threads()) == expected
    finally:
        torch.set_num_threads(before)
        set_num_threads(None)
