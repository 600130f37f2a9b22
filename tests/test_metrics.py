"""Metrics: names that promtool accepts, and consistent values."""

import itertools
import re
import sys
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.engines import ROOMY, run_all
from unmask import __version__
from unmask.config import Config, ServerConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Delta, Request, SamplingParams

VLLM_HISTOGRAMS = (
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:time_per_output_token_seconds",
    "vllm:request_time_per_output_token_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_queue_time_seconds",
)
VLLM_NAMES = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:generation_tokens_total",
    "vllm:prompt_tokens_total",
    "vllm:diffusion_num_denoising_steps_total",
    "vllm:diffusion_num_canvas_positions_total",
    "vllm:diffusion_num_committed_tokens_total",
    "vllm:prefix_cache_queries_total",
    "vllm:prefix_cache_hits_total",
    "vllm:num_preemptions_total",
    "vllm:request_success_total",
    *(name + suffix for name in VLLM_HISTOGRAMS for suffix in ("_bucket", "_count", "_sum")),
}


def make(tiny: LoadedModel, *, vllm: bool) -> Engine:
    return Engine(Config(engine=ROOMY, server=ServerConfig(vllm_metrics=vllm)), tiny, Metrics())


def families_of(metrics: Metrics) -> list[Metric]:
    return list(text_string_to_metric_families(metrics.render().decode()))


def samples(engine: Engine) -> dict[str, float]:
    families = families_of(engine.metrics)
    return {sample.name: sample.value for family in families for sample in family.samples}


def bounds(metrics: Metrics, name: str) -> list[float]:
    """Upper bounds of a histogram's buckets, without +Inf."""
    (family,) = (family for family in families_of(metrics) if family.name == name)
    return [float(s.labels["le"]) for s in family.samples if s.name.endswith("_bucket")][:-1]


def request(name: str, num_blocks: int, block_len: int) -> Request:
    """A request for whole blocks after a prompt of whole blocks."""
    sampling = SamplingParams(
        max_tokens=num_blocks * block_len, block_length=block_len, ignore_eos=True
    )
    return Request(name, tuple(range(64)), sampling)


def test_names_follow_the_rules_of_prometheus(tiny: LoadedModel) -> None:
    families = families_of(make(tiny, vllm=False).metrics)
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(r"(unmask|process)_[a-z_]+", family.name), family.name
        assert family.documentation
        if family.type != "counter":
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name


@pytest.mark.parametrize("vllm", [True, False])
def test_names_of_vllm_are_behind_a_switch(tiny: LoadedModel, vllm: bool) -> None:
    exported = {name for name in samples(make(tiny, vllm=vllm)) if name.startswith("vllm:")}
    assert exported == (VLLM_NAMES if vllm else set())


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
    exported = samples(engine)
    assert exported["unmask_generated_tokens_total"] == sum(u.completion_tokens for u in usages)
    assert exported["unmask_prompt_tokens_total"] == sum(u.prompt_tokens for u in usages)
    assert exported["unmask_denoising_steps_total"] == sum(u.denoising_steps for u in usages)
    cached = sum(u.cached_tokens for u in usages)
    assert exported["unmask_prefix_cache_hit_tokens_total"] == cached > 0
    assert exported["vllm:generation_tokens_total"] == exported["unmask_generated_tokens_total"]
    assert exported["unmask_kv_pages_used"] == 0
    assert exported["unmask_request_latency_seconds_count"] == len(requests)


def test_vllm_counts_the_steps_and_blocks_that_its_benchmark_divides(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=True)
    answers = run_all(engine, [request(f"r{i}", 2 + i, 8) for i in range(3)])
    exported = samples(engine)
    steps = exported["vllm:diffusion_num_denoising_steps_total"]
    positions = exported["vllm:diffusion_num_canvas_positions_total"]
    committed = exported["vllm:diffusion_num_committed_tokens_total"]
    # Computed as in `vllm bench serve`.
    block_size = positions / steps
    num_canvases = committed / block_size
    own_steps = sum(answer.finish.usage.denoising_steps for answer in answers.values())
    assert block_size == 8
    assert num_canvases == 2 + 3 + 4
    assert steps - num_canvases == own_steps
    assert exported["unmask_denoising_steps_total"] == own_steps
    assert exported["unmask_canvas_positions_total"] < own_steps * 8, "resolved ones are not scored"


def test_positions_of_blocks_follow_each_requests_length(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=True)
    answers = run_all(engine, [request("short", 4, 4), request("long", 2, 16)])
    steps = {name: answer.finish.usage.denoising_steps for name, answer in answers.items()}
    exported = samples(engine)
    expected = 4 * steps["short"] + 16 * steps["long"]
    assert exported["unmask_block_positions_total"] == expected
    assert exported["unmask_final_block_positions_total"] == 4 * 4 + 2 * 16
    assert exported["vllm:diffusion_num_canvas_positions_total"] == expected + 4 * 4 + 2 * 16


def test_vllm_names_have_what_ours_have_counted(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=True)
    for batch in ([request("a", 2, 8), request("b", 3, 8)], [request("c", 1, 8)]):
        run_all(engine, batch)
    engine.add(request("dropped", 1, 8))
    engine.abort("dropped")
    exported = samples(engine)
    pairs = {
        "vllm:time_to_first_token_seconds_sum": "unmask_time_to_first_token_seconds_sum",
        "vllm:inter_token_latency_seconds_sum": "unmask_inter_token_latency_seconds_sum",
        "vllm:time_per_output_token_seconds_sum": "unmask_inter_token_latency_seconds_sum",
        "vllm:request_time_per_output_token_seconds_sum": (
            "unmask_time_per_output_token_seconds_sum"
        ),
        "vllm:e2e_request_latency_seconds_sum": "unmask_request_latency_seconds_sum",
        "vllm:request_queue_time_seconds_sum": "unmask_queue_seconds_sum",
        "vllm:prefix_cache_queries_total": "unmask_prefix_cache_query_tokens_total",
        "vllm:prefix_cache_hits_total": "unmask_prefix_cache_hit_tokens_total",
    }
    for name, source in pairs.items():
        assert exported[name] == exported[source] > 0, name
    assert exported["vllm:num_preemptions_total"] == exported["unmask_preemptions_total"] == 0
    (ended,) = (f for f in families_of(engine.metrics) if f.name == "vllm:request_success")
    by_reason = {sample.labels["finished_reason"]: sample.value for sample in ended.samples}
    assert by_reason == {"stop": 0, "length": 3, "abort": 1}


def test_vllm_names_have_the_labels_of_vllm(tiny: LoadedModel) -> None:
    families = families_of(make(tiny, vllm=True).metrics)
    for family in families:
        if family.name.startswith("vllm:"):
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k in ("model_name", "engine")}
                assert labels == {"model_name": tiny.info.name, "engine": "0"}, sample.name


@pytest.mark.parametrize("speculation_rows", [0, 64])
def test_gaps_are_one_less_than_steps_with_outputs(
    tiny: LoadedModel, speculation_rows: int
) -> None:
    """Steps launched ahead emit outputs in the same step."""
    config = replace(ROOMY, speculation_rows=speculation_rows)
    engine = Engine(Config(engine=config), tiny, Metrics())
    num_steps = num_outputs = 0
    engine.add(request("a", 3, 8))
    while engine.has_work:
        outputs = sum(isinstance(e, Delta) and bool(e.token_ids) for e in engine.step())
        num_steps, num_outputs = num_steps + bool(outputs), num_outputs + outputs
    exported = samples(engine)
    assert exported["unmask_inter_token_latency_seconds_count"] == num_steps - 1 > 0
    assert (num_outputs > num_steps) == bool(speculation_rows)
    assert exported["unmask_time_to_first_token_seconds_count"] == 1


@pytest.mark.parametrize("looks_up", [True, False])
def test_prompts_that_are_not_looked_up_are_no_queries(tiny: LoadedModel, looks_up: bool) -> None:
    engine = Engine(Config(engine=replace(ROOMY, prefix_cache=looks_up)), tiny, Metrics())
    run_all(engine, [request("a", 2, 8)])
    queried = samples(engine)["unmask_prefix_cache_query_tokens_total"]
    assert queried == (samples(engine)["unmask_prompt_tokens_total"] if looks_up else 0)


def test_the_end_of_a_request_tells_how_long_it_waited(tiny: LoadedModel) -> None:
    config = replace(ROOMY, max_num_seqs=1)
    engine = Engine(Config(engine=config), tiny, Metrics())
    answers = run_all(engine, [request("first", 2, 8), request("second", 1, 8)])
    first, second = (answers[name].finish.queue_s for name in ("first", "second"))
    assert first is not None
    assert second is not None
    assert 0 <= first < second, "it began once the first one had ended"
    waited_s = samples(engine)["unmask_queue_seconds_sum"]
    assert waited_s == pytest.approx(first + second)


def test_every_family_of_ours_names_the_model(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=False)
    for family in families_of(engine.metrics):
        for sample in family.samples:
            expected = tiny.info.name if family.name.startswith("unmask_") else None
            assert sample.labels.get("model_name") == expected, sample


def test_build_info_tells_two_servers_apart(tiny: LoadedModel) -> None:
    families = families_of(make(tiny, vllm=False).metrics)
    (info,) = (family for family in families if family.name == "unmask_build_info")
    (sample,) = info.samples
    assert sample.value == 1
    assert sample.labels == {
        "version": __version__,
        "model_name": tiny.info.name,
        "device": "cpu",
        "dtype": str(tiny.dtype).removeprefix("torch."),
        "attention": tiny.info.attention,
    }


def test_the_process_is_exported_and_times_of_creation_are_not(tiny: LoadedModel) -> None:
    engine = make(tiny, vllm=True)
    run_all(engine, [request("a", 1, 8)])
    families = families_of(engine.metrics)
    assert not [family.name for family in families if family.name.endswith("_created")]
    if sys.platform == "linux":
        assert samples(engine)["process_resident_memory_bytes"] > 0
    theirs = CollectorRegistry()
    Counter("theirs", "Somebody else's.", registry=theirs)
    assert b"theirs_created" in generate_latest(theirs), "other registries are left alone"


def test_buckets_resolve_a_fast_gpu(tiny: LoadedModel) -> None:
    metrics = make(tiny, vllm=False).metrics
    for name in ("time_per_output_token_seconds", "inter_token_latency_seconds", "step_seconds"):
        assert bounds(metrics, f"unmask_{name}")[0] == 1e-4
    steps_s = bounds(metrics, "unmask_step_seconds")
    fine = [a for a, b in itertools.pairwise(steps_s) if 0.001 <= a < 0.1 and b / a > 2]
    assert fine == [], "steps of a few milliseconds are told apart"
    first_tokens_s = bounds(metrics, "unmask_time_to_first_token_seconds")
    assert sum(0.005 <= bound < 0.1 for bound in first_tokens_s) >= 6
    assert first_tokens_s[-1] >= 300, "so are waits in a long queue"
    assert bounds(metrics, "unmask_step_sequences")[-1] == 512
    assert bounds(metrics, "unmask_step_masked_rows")[-1] == 2048


def test_methods_that_nobody_knows_are_one_label_value() -> None:
    metrics = Metrics()
    for method in ("GET", "BREW", "get", "X" * 100):
        metrics.record_answer(method, "/health", 405, 0.001)
    exported = {
        sample.labels["method"]: sample.value
        for family in families_of(metrics)
        for sample in family.samples
        if sample.name == "unmask_http_requests_total"
    }
    assert exported == {"GET": 1, "other": 3}
