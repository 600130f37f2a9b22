"""Metrics: names that promtool accepts, numbers that add up."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.engines import ROOMY, run_all
from unmask.config import Config, ServerConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

VLLM_NAMES = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:generation_tokens_total",
    "vllm:prompt_tokens_total",
    "vllm:diffusion_num_denoising_steps_total",
    "vllm:diffusion_num_canvas_positions_total",
    "vllm:diffusion_num_committed_tokens_total",
}


def make(tiny: LoadedModel, *, vllm: bool) -> Engine:
    return Engine(Config(engine=ROOMY, server=ServerConfig(vllm_metrics=vllm)), tiny, Metrics())


def samples(engine: Engine) -> dict[str, float]:
    families = text_string_to_metric_families(engine.metrics.render().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_names_follow_the_rules_of_prometheus(tiny: LoadedModel) -> None:
    families = list(
        text_string_to_metric_families(make(tiny, vllm=False).metrics.render().decode())
    )
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(r"unmask_[a-z_]+", family.name), family.name
        assert family.documentation
        if family.type != "counter":
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name


@pytest.mark.parametrize("vllm", [True, False])
def test_names_of_vllm_are_behind_a_switch(tiny: LoadedModel, vllm: bool) -> None:
    found = {name for name in samples(make(tiny, vllm=vllm)) if name.startswith("vllm:")}
    assert found == (VLLM_NAMES if vllm else set())


def test_counters_equal_the_sum_of_usage(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=True)
    prompt = tuple(range(70))
    requests = [
        Request(f"r{i}", prompt, SamplingParams(max_tokens=5 + 7 * i, block_length=8))
        for i in range(6)
    ]
    usages = []
    for batch in (requests[:3], requests[3:]):
        usages += [answer.finish.usage for answer in run_all(engine, batch).values()]
    found = samples(engine)
    assert found["unmask_generated_tokens_total"] == sum(u.completion_tokens for u in usages)
    assert found["unmask_prompt_tokens_total"] == sum(u.prompt_tokens for u in usages)
    assert found["unmask_denoising_steps_total"] == sum(u.denoising_steps for u in usages)
    cached = sum(u.cached_tokens for u in usages)
    assert found["unmask_prefix_cache_hit_tokens_total"] == cached > 0
    assert found["vllm:generation_tokens_total"] == found["unmask_generated_tokens_total"]
    assert found["unmask_kv_pages_used"] == 0
    assert found["unmask_request_latency_seconds_count"] == len(requests)
