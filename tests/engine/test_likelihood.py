"""Log-probabilities of given text are those of the chain rule, in every family and company."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.forward import block_causal, causal, full, logits_of
from tests.support.golden import company, load_golden
from tests.support.graphs import Recordings
from tests.support.tiny import EOS_ID
from unmask.errors import InvalidRequest
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel
from unmask.types import AUTO, CanvasSchedule, FinishReason, Request, SamplingParams

FAMILIES = (
    *("sdar", "llada21", "llada", "dream", "fast_dllm", "nemotron", "idlm", "wedlm", "mdlm"),
)
LENGTHS = (2, 5, 38)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden(request.param, Path(tmp_path_factory.mktemp(request.param)))


def prompt_of(length: int) -> tuple[int, ...]:
    ids = np.random.default_rng(length).integers(3, 200, length)
    ids[length // 2] = EOS_ID  # which ends no text that is given
    return tuple(ids.tolist())


def reading(loaded: LoadedModel, prompt: tuple[int, ...], name: str = "read") -> Request:
    request = likelihood_request(name, prompt, 3, loaded.info)
    assert request is not None
    return request


def row_of(loaded: LoadedModel, prompt: tuple[int, ...], i: int) -> torch.Tensor:
    """Log-probabilities [V] of position `i`, of one pass over the tokens before it and masks."""
    info, known = loaded.info, list(prompt[:i])
    mask, length, block_len = info.mask_token_id or 0, len(prompt), info.block_length or 32
    if info.attention == "full":
        ids, row, horizons = known + [mask] * (length - i), i - info.shift, full(length)
    elif info.attention == "block_causal":
        # The logits of a block's first position are in the block before, where they are shifted.
        end = i if info.shift and i % block_len == 0 else (i // block_len + 1) * block_len
        ids, row = known + [mask] * (end - i), i - info.shift
        horizons = block_causal(end, block_len)
    elif info.attention == "causal_window":
        ids, row, horizons = [*known, mask], i, causal(i + 1)
    else:
        ids, row, horizons = known, i - 1, causal(i)
    return logits_of(loaded, torch.tensor(ids), horizons)[row].double().log_softmax(-1)


def values(answer: Answer) -> list[tuple[int, float, int | None]]:
    return [(item.token_id, item.logprob, item.rank) for item in answer.logprobs]


@pytest.mark.parametrize("length", LENGTHS)
@torch.inference_mode()
def test_each_token_has_its_probability_after_those_before_it(
    loaded: LoadedModel, length: int
) -> None:
    prompt = prompt_of(length)
    answer = run_alone(loaded, reading(loaded, prompt))
    assert tuple(answer.token_ids) == prompt[1:]
    assert answer.finish is not None
    assert answer.finish.reason is FinishReason.LENGTH
    for i, item in enumerate(answer.logprobs, 1):
        row = row_of(loaded, prompt, i)
        assert item.token_id == prompt[i]
        assert abs(item.logprob - float(row[prompt[i]])) < 1e-4
        row[loaded.info.mask_token_id] = -torch.inf
        assert item.rank == int((row > row[prompt[i]]).sum()) + 1
        expected = row.topk(3)
        assert [token_id for token_id, _ in item.top] == expected.indices.tolist()
        found = torch.tensor([value for _, value in item.top], dtype=torch.float64)
        assert (found - expected.values).abs().max() < 1e-4


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize(
    "options",
    [
        {"overlap": True, "num_pages": 60, "page_size": 8, "max_batch_tokens": 300},
        {"speculation_rows": 256},
    ],
)
def test_they_are_the_same_in_any_company(loaded: LoadedModel, options: dict[str, int]) -> None:
    prompts = {str(length): prompt_of(length) for length in LENGTHS}
    requests = [reading(loaded, prompt, name) for name, prompt in prompts.items()]
    alone = {request.request_id: values(run_alone(loaded, request)) for request in requests}
    others = company(loaded, 4, seed=1)
    mixed = [others[0], *requests[:2], *others[1:], requests[2]]
    engine = make_engine(loaded, **options)
    answers = run_all(engine, mixed)
    assert {name: values(answers[name]) for name in alone} == alone
    # Once more, with pages of the same text in the prefix cache.
    answers = run_all(engine, [replace(r, request_id=f"{r.request_id}b") for r in requests])
    assert {name: values(answers[f"{name}b"]) for name in alone} == alone


@pytest.mark.usual_cases(1)
def test_answers_beside_them_are_their_own(loaded: LoadedModel) -> None:
    others = company(loaded, 4, seed=2)
    alone = {request.request_id: run_alone(loaded, request).essence for request in others}
    requests = [reading(loaded, prompt_of(length), str(length)) for length in LENGTHS]
    answers = run_all(make_engine(loaded, overlap=True), [*requests, *others])
    assert {name: answers[name].essence for name in alone} == alone


@pytest.mark.usual_cases(4)
def test_causal_passes_read_many_tokens(loaded: LoadedModel) -> None:
    finish = run_alone(loaded, reading(loaded, prompt_of(75))).finish
    assert finish is not None
    is_wide = loaded.info.attention in ("causal_prefix", "causal")
    assert finish.usage.forward_passes == (3 if is_wide else 74)


@torch.inference_mode()
def test_a_text_that_is_read_is_not_edited(tmp_path: Path) -> None:
    loaded, prompt = load_golden("llada22", tmp_path), prompt_of(38)
    answer = run_all(make_engine(loaded, page_size=32), [reading(loaded, prompt)])["read"]
    assert tuple(answer.token_ids) == prompt[1:]
    for i, item in enumerate(answer.logprobs, 1):
        assert abs(item.logprob - float(row_of(loaded, prompt, i)[prompt[i]])) < 1e-4


@pytest.mark.exhaustive
def test_graphs_change_nothing(tiny: LoadedModel) -> None:
    requests = [reading(tiny, prompt_of(length), str(length)) for length in LENGTHS]
    alone = {request.request_id: values(run_alone(tiny, request)) for request in requests}
    recordings = Recordings()
    answers = run_all(make_engine(tiny, recorder=recordings, graphs=True), requests)
    assert {name: values(answer) for name, answer in answers.items()} == alone


def test_settings_of_a_server_have_no_effect(tiny: LoadedModel) -> None:
    prompt = prompt_of(33)
    expected = values(run_alone(tiny, reading(tiny, prompt)))
    default = replace(
        tiny.info.default_sampling,
        **{"temperature": 1.3, "policy": "threshold", "threshold": 0.1, "eos_last": True},
        **{"steps": 2, "sub_block_length": 2, "cache": "block"},
    )
    other = replace(tiny, info=replace(tiny.info, default_sampling=default, adapts_blocks=True))
    assert values(run_alone(other, reading(other, prompt))) == expected
    assert reading(other, prompt).sampling.block_length != AUTO


def test_wrong_tokens_are_errors_of_the_prompt(tiny: LoadedModel) -> None:
    engine, mask = make_engine(tiny), tiny.info.mask_token_id
    assert mask is not None
    for prompt in ((3, 4, mask), (3, 99_999), (3,) * (tiny.info.max_model_len + 1)):
        with pytest.raises(InvalidRequest, match=r"log-probabilities of the prompt: ") as caught:
            engine.check(reading(tiny, prompt))
        assert caught.value.field == "prompt"


def test_a_prompt_of_one_token_has_nothing_to_read(tiny: LoadedModel) -> None:
    assert likelihood_request("a", (3,), 0, tiny.info) is None


def test_canvases_of_noise_have_no_mask_tokens(tiny: LoadedModel) -> None:
    info = replace(tiny.info, attention="canvas", canvas=CanvasSchedule(), mask_token_id=None)
    with pytest.raises(InvalidRequest, match="is for models that fill mask tokens") as caught:
        likelihood_request("a", (3, 4), 0, info)
    assert caught.value.field == "prompt_logprobs"


def test_a_request_that_generates_reads_nothing(tiny: LoadedModel) -> None:
    with pytest.raises(InvalidRequest, match="prompt_logprobs") as caught:
        make_engine(tiny).check(Request("a", (3, 4), SamplingParams(prompt_logprobs=1)))
    assert caught.value.field == "prompt_logprobs"
