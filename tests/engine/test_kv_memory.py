"""Default size of the KV cache."""

from dataclasses import replace

import pytest
import torch

from unmask.config import EngineConfig
from unmask.engine.run.limits import check_cache, check_memory, count_pages, derive_limits, kv_bytes
from unmask.errors import InvalidConfig
from unmask.models.registry import LoadedModel

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FREE = 60 * 2**30


@pytest.fixture
def gpu_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (FREE, 80 * 2**30))


def test_on_a_gpu_it_is_most_of_what_the_weights_leave(gpu_memory: None) -> None:
    assert 0.8 * FREE < kv_bytes(EngineConfig(), GPU) < 0.9 * FREE


def test_on_a_cpu_it_is_little() -> None:
    assert kv_bytes(EngineConfig(), CPU) == 256 * 2**20


def test_what_is_asked_for_is_taken_anywhere(gpu_memory: None) -> None:
    for device in (CPU, GPU):
        assert kv_bytes(EngineConfig(kv_memory_mib=7), device) == 7 * 2**20


def test_pages_fill_the_memory(tiny: LoadedModel) -> None:
    config = EngineConfig(page_size=16, kv_memory_mib=3)
    numbers = sum(shape.slot_numbers for shape in tiny.model.layers)
    page_bytes = 16 * numbers * tiny.dtype.itemsize
    assert count_pages(config, tiny) == 3 * 2**20 // page_bytes
    assert count_pages(replace(config, num_pages=5), tiny) == 5


def test_more_than_the_memory_of_the_device_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(InvalidConfig, match=r"10\.0 GiB is larger than the memory, 9\.0 GiB"):
        check_memory(10 * 2**30, 9 * 2**30)
    check_memory(9 * 2**30, 9 * 2**30)
    for config in (EngineConfig(kv_memory_mib=10**9), EngineConfig(num_pages=10**12)):
        with pytest.raises(InvalidConfig, match="KV cache"):
            check_cache(derive_limits(config, tiny), tiny)
