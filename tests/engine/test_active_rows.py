"""Cache `block`: resolved positions keep their keys until their block is full."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.draws import requests
from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel, load_model
from unmask.types import RefinementOptions, Request, SamplingParams

PAGE = 16
PLAIN = SamplingParams(max_tokens=40, cache="block", block_length=8, ignore_eos=True)
TRAITS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shifted": {"shift": True},
    "sub-blocks, shifted": {
        "shift": True,
        "default_sampling": SamplingParams(sub_block_length=4),
    },
}


@pytest.fixture(scope="module", params=list(TRAITS))
def loaded(request: pytest.FixtureRequest, tiny: LoadedModel) -> LoadedModel:
    return replace(tiny, info=replace(tiny.info, **TRAITS[request.param]))


def cached(request: Request) -> Request:
    return replace(request, sampling=replace(request.sampling, cache="block"))


class Loop:
    """Reference loop over the bare model: one request with consecutive pages."""

    def __init__(self, loaded: LoadedModel, num_positions: int) -> None:
        self.loaded = loaded
        self.num_pages = -(-num_positions // PAGE)
        cpu = torch.device("cpu")
        layers = loaded.model.layers
        self.cache = KVCache.empty(layers, self.num_pages, PAGE, loaded.dtype, cpu)
        self.num_rows = 0

    def hidden(self, canvas: list[int], positions: list[int], block_len: int) -> torch.Tensor:
        """Hidden rows of `positions`; writes their keys to the cache."""
        rows = torch.tensor(positions)
        horizons = (rows // block_len + 1) * block_len
        plans = plan_layers(
            self.loaded.model.layers,
            [0, len(positions)],
            horizons.numpy(),
            torch.arange(self.num_pages).numpy(),
            [0, self.num_pages],
            PAGE,
            device=torch.device("cpu"),
            dtype=self.loaded.dtype,
        )
        token_ids = torch.tensor([canvas[i] for i in positions])
        self.num_rows += len(positions)
        return self.loaded.model.forward(ForwardInputs(token_ids, rows, rows, plans, self.cache))

    def decode(
        self, prompt: list[int], num_tokens: int, block_len: int, threshold: float
    ) -> list[int]:
        mask = self.loaded.info.mask_token_id
        assert mask is not None
        end = -(-(len(prompt) + num_tokens) // block_len) * block_len
        canvas = prompt + [mask] * (end - len(prompt))
        start = computed = len(prompt) // block_len * block_len
        if start:
            self.hidden(canvas, list(range(start)), block_len)
        while start < len(prompt) + num_tokens:
            block = range(start, start + block_len)
            active = list(range(computed, start + block_len))
            masked = [i for i in block if canvas[i] == mask]
            while masked:
                hidden = self.hidden(canvas, active, block_len)
                own = hidden[[active.index(i) for i in masked]]
                logits = self.loaded.model.lm_head(self.loaded.model.final_norm(own)).float()
                logits[:, mask] = -torch.inf
                sure, tokens = logits.softmax(-1).max(-1)
                chosen = [k for k in range(len(masked)) if sure[k] >= threshold]
                for k in chosen or [int(sure.argmax())]:
                    canvas[masked[k]] = int(tokens[k])
                active, masked = masked, [i for i in block if canvas[i] == mask]
            computed, start = start, start + block_len
        return canvas[len(prompt) : len(prompt) + num_tokens]


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.9])
def test_tokens_are_those_of_the_rule_written_out(tiny: LoadedModel, threshold: float) -> None:
    prompt, num_tokens = list(range(3, 22)), 29
    loop = Loop(tiny, 64)
    expected = loop.decode(prompt, num_tokens, 8, threshold)
    sampling = replace(PLAIN, max_tokens=num_tokens, policy="threshold", threshold=threshold)
    answer = run_alone(tiny, Request("r", tuple(prompt), sampling))
    assert answer.token_ids == expected
    assert answer.finish is not None
    assert answer.finish.usage.query_tokens == loop.num_rows


def test_keys_of_before_are_felt(tiny: LoadedModel) -> None:
    """Guards the tests of this file against a cache that changes nothing."""
    params = replace(PLAIN, policy="low_confidence", max_tokens=60, block_length=16)
    request = Request("r", tuple(range(12)), params)
    plain = replace(request, sampling=replace(params, cache="none"))
    assert run_alone(tiny, request).token_ids != run_alone(tiny, plain).token_ids


def rows_of(answer: Answer) -> int:
    assert answer.finish is not None
    return answer.finish.usage.query_tokens


def test_at_one_token_a_step_about_half_of_the_rows_are_left(tiny: LoadedModel) -> None:
    params = replace(PLAIN, policy="low_confidence", max_tokens=64, block_length=16)
    request = Request("r", tuple(range(16)), params)
    plain = replace(request, sampling=replace(params, cache="none"))
    # Whole, whole again less what is known, one less each step, and the block once more.
    active = 16 + sum(range(2, 17)) + 16
    assert rows_of(run_alone(tiny, request)) == 16 + 4 * active - 16
    assert rows_of(run_alone(tiny, plain)) == 16 + 4 * (16 * 16 + 16) - 16


few = settings(
    max_examples=examples(3, 5),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.usual_cases(1)
@given(
    batch=requests(),
    overlap=st.booleans(),
    steps_ahead=st.sampled_from([1, 3]),
    num_pages=st.sampled_from([19, 400]),
    max_batch_tokens=st.sampled_from([40, 200, 2048]),
    prefix_cache=st.booleans(),
)
@few
def test_an_answer_depends_on_the_request_alone(
    loaded: LoadedModel,
    batch: list[Request],
    overlap: bool,
    steps_ahead: int,
    num_pages: int,
    max_batch_tokens: int,
    prefix_cache: bool,
) -> None:
    """Batched with and without the cache, in turns and ahead, preempted or not."""
    mixed = [cached(r) if i % 3 else r for i, r in enumerate(batch)]
    engine = make_engine(
        loaded,
        overlap=overlap,
        steps_ahead=steps_ahead,
        num_pages=num_pages,
        max_batch_tokens=max_batch_tokens,
        prefix_cache=prefix_cache,
    )
    answers = run_all(engine, mixed)
    for request in mixed:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


@pytest.mark.exhaustive
@given(batch=requests(max_size=3), overlap=st.booleans())
@settings(few, max_examples=4)
def test_answers_with_graphs_are_the_same(
    tiny_on_cpu: LoadedModel, batch: list[Request], overlap: bool
) -> None:
    recordings = Recordings()
    engine = make_engine(
        tiny_on_cpu, graphs=True, overlap=overlap, max_batch_tokens=200, recorder=recordings
    )
    for request in batch:
        expected = run_alone(tiny_on_cpu, cached(request)).essence
        assert run_all(engine, [cached(request)])[request.request_id].essence == expected
    together = run_all(engine, [cached(replace(r, request_id=f"x{r.request_id}")) for r in batch])
    for request in batch:
        expected = run_alone(tiny_on_cpu, cached(request)).essence
        assert together[f"x{request.request_id}"].essence == expected
    assert recordings.num_replays > 0


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("overlap", [False, True])
def test_a_preempted_block_comes_to_the_same_tokens(loaded: LoadedModel, overlap: bool) -> None:
    """Its kept keys are lost, so it is denoised again, after some of it was sent."""
    sampling = replace(PLAIN, max_tokens=50, block_length=32, policy="sequential")
    batch = [Request(f"r{i}", tuple(range(i, i + 40)), sampling) for i in range(4)]
    engine = make_engine(loaded, num_pages=13, overlap=overlap)
    answers = run_all(engine, batch)
    assert engine.scheduler.num_preempted > 0
    for request in batch:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


def test_a_preempted_block_tells_each_likelihood_once(tiny: LoadedModel) -> None:
    sampling = replace(PLAIN, max_tokens=50, block_length=32, policy="sequential", logprobs=2)
    batch = [Request(f"r{i}", tuple(range(i, i + 40)), sampling) for i in range(4)]
    answers = run_all(make_engine(tiny, num_pages=13), batch)
    for request in batch:
        alone = run_alone(tiny, request)
        assert answers[request.request_id].logprobs == alone.logprobs


def test_a_stream_is_the_answer(tiny: LoadedModel) -> None:
    request = Request("r", tuple(range(20)), replace(PLAIN, temperature=0.9, seed=3))
    refined = replace(request, refinements=RefinementOptions(tokens=True))
    answer = run_alone(tiny, refined)
    assert answer.essence == run_alone(tiny, request).essence
    assert answer.refinements


def test_keys_of_finished_blocks_are_exact(tiny: LoadedModel) -> None:
    """A prompt that continues such an answer hits the prefix cache and gets the same answer."""
    first = Request("first", tuple(range(20)), replace(PLAIN, max_tokens=60))
    engine = make_engine(tiny, page_size=8)
    told = run_all(engine, [first])["first"]
    follow_up = replace(PLAIN, cache="none", max_tokens=20)
    second = Request("second", (*first.prompt_token_ids, *told.token_ids, 5), follow_up)
    answer = run_all(engine, [second])["second"]
    assert answer.finish is not None
    assert answer.finish.usage.cached_tokens >= 48
    assert answer.essence == run_alone(tiny, second).essence


@pytest.mark.parametrize(
    ("traits", "cache"),
    [
        ({"attention": "full"}, "block"),
        ({}, "dual"),
        ({"can_edit": True, "default_sampling": SamplingParams(editing_threshold=0.9)}, "block"),
    ],
)
def test_what_a_model_cannot_keep_is_refused_by_name(
    tiny: LoadedModel, traits: dict[str, Any], cache: Any
) -> None:
    model = replace(tiny, info=replace(tiny.info, **traits))
    with pytest.raises(InvalidRequest, match="cache") as refused:
        make_engine(model).check(Request("r", (1,), SamplingParams(max_tokens=5, cache=cache)))
    assert refused.value.field == "cache"


def test_a_server_may_keep_keys_by_default_and_a_request_may_not(tiny_folder: str) -> None:
    config = ModelConfig(path=str(tiny_folder), dtype="float32")
    model = load_model(config, DecodingConfig(cache="block"))
    usual = load_model(config, DecodingConfig())
    sampling = replace(PLAIN, cache=None, policy="low_confidence")
    request = Request("r", tuple(range(9)), sampling)
    assert rows_of(run_alone(model, request)) < rows_of(run_alone(usual, request))
    exact = replace(request, sampling=replace(sampling, cache="none"))
    assert run_alone(model, exact).essence == run_alone(usual, request).essence
    with pytest.raises(InvalidConfig, match=r"decoding\.cache of this model must be none or block"):
        load_model(config, DecodingConfig(cache="dual"))


def test_pages_are_conserved(loaded: LoadedModel) -> None:
    engine = make_engine(loaded, num_pages=13, overlap=True)
    answers: dict[str, Answer] = {}
    for i in range(4):
        engine.add(Request(f"r{i}", tuple(range(i, i + 40)), replace(PLAIN, block_length=32)))
    for _ in range(12):
        collect(answers, engine.step())
        engine.check_integrity()
    collect(answers, engine.abort("r1"))
    while engine.has_work:
        collect(answers, engine.step())
        engine.check_integrity()
    assert engine.pool.num_held == 0
