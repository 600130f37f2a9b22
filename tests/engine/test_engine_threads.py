"""Number of threads of an engine."""

import pytest
import torch

from unmask.config import Config, EngineConfig
from unmask.engine import engine as engine_module
from unmask.engine.engine import Engine
from unmask_kernels.native.threads import get_num_threads, set_num_threads


@pytest.mark.parametrize(("told", "of_torch", "of_kernels"), [(None, 2, 5), (3, 3, 3)])
def test_kernels_use_every_core_and_torch_half_of_them(
    told: int | None, of_torch: int, of_kernels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(engine_module, "num_cores", lambda: 5)
    try:
        Engine.load(Config(engine=EngineConfig(threads=told)))
        assert (torch.get_num_threads(), get_num_threads()) == (of_torch, of_kernels)
    finally:
        torch.set_num_threads(before)
        set_num_threads(None)
