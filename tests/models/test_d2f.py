"""LLaDA and Dream by D2F: a prompt that sees all of itself, and open blocks behind it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.d2f import Pipeline, block_horizons, write_by_d2f
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.forward import logits_of
from tests.support.golden import company
from tests.support.lora import draw_pairs, linear_modules, read_weights, write_adapter
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.errors import InvalidRequest
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel, load_model
from unmask.types import ModelInfo, RefinementOptions, Request, SamplingParams

Load = Callable[..., LoadedModel]
PROMPTS = (
    (9, 41, 77, 5, 300),
    (12, 32, 510, 57, 23, 12, 32, 8),
    tuple(range(20, 55)),
    (7,),
)
NUM_TOKENS = 48
FOLDERS = pytest.mark.parametrize("folder", ["llada", "dream"])
PIPELINES = (
    Pipeline(8, 0.1, 0.95, 0.3),
    Pipeline(16, 0.1, 0.95, 0.5),
    Pipeline(16, 0.7, 0.95, 0.2),
    Pipeline(4, 0.9, 0.5, 0.4),
    Pipeline(8, 1.0, 1.0, 0.4),
)
few = settings(
    max_examples=examples(2, 4),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def params_of(pipeline: Pipeline, **others: Any) -> SamplingParams:
    return SamplingParams(
        max_tokens=NUM_TOKENS,
        temperature=0.0,
        ignore_eos=True,
        threshold=pipeline.skip_threshold,
        block_length=pipeline.block_size,
        open_blocks=16,
        add_block_threshold=pipeline.block_add_threshold,
        semi_complete_threshold=pipeline.decoded_token_threshold,
        **others,
    )


@pytest.mark.usual_cases(2)
@FOLDERS
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_tokens_and_passes_are_those_of_the_authors_loop(
    golden_model: Load, folder: str, pipeline: Pipeline
) -> None:
    loaded = golden_model(folder, "block")
    requests = [Request(f"r{i}", p, params_of(pipeline)) for i, p in enumerate(PROMPTS)]
    others = company(loaded, 4, seed=8)
    engine = make_engine(loaded, overlap=True, graphs=False, max_num_seqs=6, num_pages=60)
    together = run_all(engine, [*requests, *others])
    for request in requests:
        answer = together[request.request_id]
        written = write_by_d2f(loaded, request.prompt_token_ids, NUM_TOKENS, pipeline)
        assert answer.finish is not None
        assert answer.token_ids == written.tokens
        assert answer.finish.usage.denoising_steps == written.forwards


def test_logits_and_answers_are_those_of_the_authors_code(golden_model: Load) -> None:
    """LLaDA's: their model file and their loop with its cache (`tests/golden/make/d2f.py`)."""
    loaded = golden_model("llada", "block")
    golden = json.loads((GOLDEN / "llada" / "d2f.json").read_text())
    forward = golden["forward"]
    ids, theirs = torch.tensor(forward["ids"]), torch.tensor(forward["logits"])
    horizons = block_horizons(forward["num_prompt"], len(ids), forward["block_size"])
    ours = logits_of(loaded, ids, horizons)[-len(theirs) :, : theirs.shape[1]]
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    for i, case in enumerate(golden["cases"]):
        pipeline = Pipeline(**case["settings"])
        request = Request(f"r{i}", tuple(case["prompt"]), params_of(pipeline))
        answer = run_alone(loaded, request)
        assert answer.token_ids == case["tokens"]
        assert answer.finish is not None
        assert answer.finish.usage.denoising_steps == case["forwards"]


@FOLDERS
def test_an_end_of_sequence_in_a_later_block_opens_no_more(golden_model: Load, folder: str) -> None:
    loaded, pipeline = golden_model(folder, "block"), Pipeline(8, 0.1, 0.95, 0.3)
    for prompt in PROMPTS[:2]:
        whole = write_by_d2f(loaded, prompt, NUM_TOKENS, pipeline).tokens
        end = whole[20]
        written = write_by_d2f(loaded, prompt, NUM_TOKENS, pipeline, end)
        params = params_of(pipeline, stop_token_ids=(end,))
        assert run_alone(loaded, Request("a", prompt, params)).token_ids == written.tokens
        assert written.tokens[-1] == end


def test_queries_see_what_the_authors_mask_lets_them() -> None:
    """The mask of `create_full_block_attention_mask`, position by position."""
    num_prompt, length, size = 5, 20, 4
    mask = torch.zeros(length, length, dtype=torch.bool)
    mask[:num_prompt, :num_prompt] = True
    for start in range(num_prompt, length, size):
        end = min(start + size, length)
        mask[start:end, :end] = True
    horizons = torch.from_numpy(block_horizons(num_prompt, length, size))
    assert (mask == (torch.arange(length) < horizons[:, None])).all()


POLICIES: tuple[dict[str, Any], ...] = (
    {"open_blocks": 4, "threshold": 0.3},
    {"open_blocks": 3, "policy": "low_confidence", "steps": 3},
    {"open_blocks": 2, "threshold": 0.2, "semi_complete_threshold": 0.5},
    {"open_blocks": 1, "threshold": 0.3},
    {"open_blocks": 1, "policy": "low_confidence", "steps": 4},
    {"open_blocks": 1, "policy": "ancestral", "steps": 6},
    {"open_blocks": 1, "threshold": 0.4, "sub_block_length": 3},
)


def short_context(loaded: LoadedModel) -> LoadedModel:
    """A model whose steps need not hold more than one request here."""
    return replace(loaded, info=replace(loaded.info, max_model_len=80))


@pytest.mark.usual_cases(1)
@FOLDERS
@given(data=st.data())
@few
def test_an_answer_depends_on_the_request_alone(
    golden_model: Load, folder: str, data: st.DataObject
) -> None:
    """Batched, in chunks, preempted, with a shared prompt, overlapped and streamed or not."""
    loaded = short_context(golden_model(folder, "block"))
    prompts = (*PROMPTS, tuple(range(40, 80)), tuple(range(40, 80)))
    batch = [
        Request(
            f"r{i}",
            data.draw(st.sampled_from(prompts)),
            SamplingParams(
                max_tokens=data.draw(st.integers(1, 30)),
                block_length=data.draw(st.sampled_from([1, 4, 8])),
                seed=i,
                temperature=data.draw(st.sampled_from([0.0, 0.8])),
                ignore_eos=True,
                **data.draw(st.sampled_from(POLICIES)),
            ),
            data.draw(st.sampled_from([None, RefinementOptions()])),
        )
        for i in range(4)
    ]
    engine = make_engine(
        loaded,
        prefix_cache=data.draw(st.booleans()),
        num_pages=data.draw(st.sampled_from([14, 400])),
        max_batch_tokens=data.draw(st.sampled_from([1, 2048])),
        overlap=data.draw(st.booleans()),
        speculation_rows=data.draw(st.sampled_from([0, 200])),
    )
    answers = run_all(engine, batch)
    for request in batch:
        alone = run_alone(loaded, replace(request, refinements=None))
        assert answers[request.request_id].essence == alone.essence


@FOLDERS
def test_only_the_same_prompt_shares_its_keys(golden_model: Load, folder: str) -> None:
    loaded, prompt = golden_model(folder, "block"), tuple(range(20, 70))
    params = SamplingParams(max_tokens=8, block_length=8, ignore_eos=True)
    engine = make_engine(loaded)
    answers = [
        run_all(engine, [Request("a", asked, params)])["a"]
        for asked in (prompt, prompt, (*prompt, 9), prompt[:48])
    ]
    cached = [answer.finish.usage.cached_tokens for answer in answers if answer.finish]
    assert cached == [0, 48, 0, 0]
    assert answers[0].essence == answers[1].essence


@FOLDERS
def test_a_text_has_the_log_probabilities_of_blocks_behind_its_first_token(
    golden_model: Load, folder: str
) -> None:
    loaded, size = golden_model(folder, "block"), 4
    usual = replace(loaded.info.default_sampling, block_length=size, open_blocks=None)
    loaded = replace(loaded, info=replace(loaded.info, default_sampling=usual))
    text, mask = tuple(range(30, 41)), loaded.info.mask_token_id
    asked = likelihood_request("a", text, 0, loaded.info)
    assert asked is not None
    assert mask is not None
    found = [item.logprob for item in run_alone(loaded, asked).logprobs]
    x = torch.tensor([text[0], *[mask] * (len(text) + 1)])
    for i, token in enumerate(text[1:], 1):
        logits = logits_of(loaded, x, block_horizons(1, len(x), size))
        logprobs = logits[i - loaded.info.shift].double().log_softmax(-1)
        assert found[i - 1] == pytest.approx(float(logprobs[token]), abs=1e-4)
        x[i] = token


def test_a_prompt_is_read_in_one_step(golden_model: Load) -> None:
    loaded = golden_model("llada", "block")
    engine = make_engine(loaded, max_batch_tokens=32)
    most = engine.limits.max_batch_tokens
    assert most == loaded.info.max_model_len
    request = Request("a", (5,) * (most - 1), SamplingParams(max_tokens=1, block_length=8))
    assert len(run_alone(loaded, request).token_ids) == 1


@pytest.mark.parametrize("cache", ["prefix", "dual", "block"])
def test_caches_of_other_attention_are_refused(golden_model: Load, cache: Any) -> None:
    loaded = golden_model("llada", "block")
    with pytest.raises(InvalidRequest, match="cache of this model must be none"):
        make_engine(loaded).check(Request("a", (5,), SamplingParams(cache=cache)))


def info(
    folder: Path,
    source: str,
    decoding: DecodingConfig | None = None,
    attention: AttentionName | None = None,
) -> ModelInfo:
    folder.mkdir()
    shutil.copy(GOLDEN / source / "model.safetensors", folder)
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw))
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511, attention=attention)
    return load_model(config, decoding or DecodingConfig()).info


@pytest.mark.parametrize(
    ("source", "preset", "expected"),
    [
        ("llada", None, (32, 0.9, 32, 0.1, 0.95)),
        ("llada", "gsm8k", (64, 0.9, 32, 0.7, 0.95)),
        ("dream", None, (32, 0.9, 32, 0.1, 0.95)),
        ("dream", "humaneval", (32, 0.95, 32, 0.9, 0.95)),
    ],
)
@pytest.mark.parametrize(
    ("name", "attention"), [("D2F-merged", None), ("d2f", "block"), ("other", "block")]
)
def test_a_name_or_the_attention_brings_the_published_settings(
    name: str,
    attention: AttentionName | None,
    source: str,
    preset: str | None,
    expected: tuple[float, ...],
    tmp_path: Path,
) -> None:
    model = info(tmp_path / name, source, DecodingConfig(preset=preset), attention)
    usual = model.default_sampling
    shares = usual.add_block_threshold, usual.semi_complete_threshold
    assert (usual.block_length, usual.threshold, usual.open_blocks, *shares) == expected
    assert (model.attention, model.has_seed) == ("prompt_block", False)


def test_full_attention_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    model = info(tmp_path / "D2F-merged", "llada", attention="full")
    assert model.attention == "full"
    assert model.default_sampling.open_blocks is None


@pytest.mark.parametrize(("block_length", "count"), [(32, 32), (64, 16), (100, 10), (512, 2)])
def test_as_many_blocks_as_fit_are_open_by_default(
    golden_model: Load, block_length: int, count: int
) -> None:
    """An answer in longer blocks than the published ones; more that are asked for are refused."""
    loaded = golden_model("llada", "block")
    usual = replace(loaded.info.default_sampling, open_blocks=32)
    loaded = replace(loaded, info=replace(loaded.info, default_sampling=usual, max_model_len=4096))
    params = SamplingParams(max_tokens=1000, block_length=block_length, threshold=0.9)
    engine = make_engine(loaded)
    engine.add(Request("a", (5,), params))
    (sequence,) = engine.scheduler.sequences
    assert sequence.decoding.open_blocks == count
    engine.abort("a")
    with pytest.raises(InvalidRequest, match="open_blocks") as refused:
        engine.check(Request("a", (5,), replace(params, open_blocks=count + 1)))
    assert refused.value.field == "open_blocks"


def test_a_default_fits_a_step(golden_model: Load) -> None:
    loaded = golden_model("llada", "block")
    usual = replace(loaded.info.default_sampling, open_blocks=32)
    loaded = replace(loaded, info=replace(loaded.info, default_sampling=usual, max_model_len=200))
    engine = make_engine(loaded, max_batch_tokens=200)
    engine.add(Request("a", (5,), SamplingParams(max_tokens=100, block_length=32)))
    (sequence,) = engine.scheduler.sequences
    assert sequence.decoding.open_blocks == 200 // 32


def test_an_adapter_brings_its_attention_along(tmp_path: Path) -> None:
    """The names of D2F's adapters tell, and their weights are merged."""
    base, plain = tmp_path / "base", GOLDEN / "llada"
    base.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(plain / name, base)
    byte_tokenizer().save_pretrained(base)
    weights = read_weights(base)
    name = "D2F_LLaDA_Instruct_8B_Lora"
    adapter = write_adapter(tmp_path / name, draw_pairs(weights, linear_modules(weights)))
    config = ModelConfig(str(base), dtype="float32", mask_token_id=511, adapter=(str(adapter),))
    adapted = load_model(config, DecodingConfig())
    assert adapted.info.attention == "prompt_block"
    pipeline = Pipeline(8, 0.1, 0.95, 0.3)
    written = write_by_d2f(adapted, PROMPTS[0], NUM_TOKENS, pipeline)
    answer = run_alone(adapted, Request("a", PROMPTS[0], params_of(pipeline)))
    assert answer.token_ids == written.tokens
    kept = load_model(replace(config, attention="full"), DecodingConfig()).info
    assert kept.attention == "full"
