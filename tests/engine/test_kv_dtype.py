"""8-bit KV cache: half the memory, and answers that still depend on the request alone."""

from dataclasses import replace

import pytest
import torch

from tests.support.engines import make_engine, run_all
from unmask.config import EngineConfig
from unmask.engine.run.limits import count_pages, kv_dtype
from unmask.errors import InvalidConfig
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PLAIN = SamplingParams(max_tokens=24, ignore_eos=True, logprobs=0)
BATCH = [
    Request("a", tuple(range(40)), PLAIN),
    Request("b", (5, 6), replace(PLAIN, temperature=0.8, seed=1)),
    Request("c", tuple(range(7, 90)), PLAIN),
]


def essences(loaded: LoadedModel, batch: list[Request], **changes: object) -> dict[str, object]:
    engine = make_engine(loaded, kv_dtype="fp8", **changes)
    return {name: answer.essence for name, answer in run_all(engine, batch).items()}


def test_a_batch_equals_requests_alone_chunked_cached_or_overlapped(tiny: LoadedModel) -> None:
    alone: dict[str, object] = {}
    for request in BATCH:
        alone |= essences(tiny, [request], prefix_cache=False)
    assert essences(tiny, BATCH) == alone
    assert essences(tiny, BATCH, max_batch_tokens=32) == alone
    assert essences(tiny, BATCH, overlap=True, num_pages=24) == alone
    engine = make_engine(tiny, kv_dtype="fp8")
    run_all(engine, BATCH)
    again = [replace(request, request_id=f"{request.request_id}2") for request in BATCH]
    cached = run_all(engine, again)
    assert {name[:1]: answer.essence for name, answer in cached.items()} == alone


def test_the_first_token_is_about_as_likely_as_with_whole_keys(tiny: LoadedModel) -> None:
    """Rounding to three mantissa bits changes a probability slightly."""
    request = Request("a", tuple(range(3, 90)), replace(PLAIN, max_tokens=1, logprobs=5))
    whole = run_all(make_engine(tiny), [request])["a"].logprobs[0]
    small = run_all(make_engine(tiny, kv_dtype="fp8"), [request])["a"].logprobs[0]
    assert whole != small, "something was rounded"
    assert dict(whole.top).keys() & dict(small.top).keys()
    assert abs(whole.logprob - small.logprob) < 0.5


def test_as_much_memory_holds_twice_the_tokens_of_16_bits(tiny: LoadedModel) -> None:
    loaded = replace(tiny, dtype=torch.bfloat16)
    config = EngineConfig(kv_memory_mib=4)
    assert count_pages(replace(config, kv_dtype="fp8"), loaded) == 2 * count_pages(config, loaded)


def test_a_gpu_without_such_numbers_is_refused(
    tiny_on_cpu: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    on_gpu = replace(tiny_on_cpu, device=torch.device("cuda"))
    with pytest.raises(InvalidConfig, match=r"8\.9"):
        kv_dtype(EngineConfig(kv_dtype="fp8"), on_gpu)
    assert kv_dtype(EngineConfig(kv_dtype="fp8"), tiny_on_cpu) is torch.float8_e4m3fn
