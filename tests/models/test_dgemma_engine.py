"""DiffusionGemma through the engine: batched requests get the answers they get alone."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.canvas_loop import Job, PhiloxDraws, run
from tests.support.canvases import Forward
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.noise import SCHEDULE, WIDTH, load_noise
from tests.support.tiny import VOCAB_SIZE
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_noise(tmp_path_factory.mktemp("dgemma"))


def requests() -> list[Request]:
    generator = torch.Generator().manual_seed(4)
    drawn = []
    for i, (num_prompt, max_tokens) in enumerate([(5, 40), (64, 16), (33, 1), (100, 48), (16, 20)]):
        prompt = torch.randint(2, 256, (num_prompt,), generator=generator).tolist()
        sampling = SamplingParams(max_tokens=max_tokens, seed=i, ignore_eos=True)
        drawn.append(Request(f"r{i}", tuple(prompt), sampling))
    return drawn


def test_the_engine_gets_the_tokens_of_the_plain_loop(loaded: LoadedModel) -> None:
    """With transformers' draws, the loop gets the tokens of transformers."""
    answers = run_all(make_engine(loaded), requests())
    for request in requests():
        sampling = request.sampling
        assert sampling.max_tokens is not None
        assert sampling.seed is not None
        job = Job(
            torch.tensor(request.prompt_token_ids),
            PhiloxDraws(sampling.seed, WIDTH, VOCAB_SIZE),
            SCHEDULE,
            num_canvases=-(-sampling.max_tokens // WIDTH),
        )
        run(Forward(loaded.model), [job], WIDTH)
        start = len(request.prompt_token_ids)
        expected = job.tokens[start : start + sampling.max_tokens].tolist()
        answer = answers[request.request_id]
        assert answer.token_ids == expected
        assert answer.finish is not None
        assert answer.finish.usage.denoising_steps == job.num_steps


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("max_batch_tokens", [48, 2048])
def test_a_request_in_company_gets_the_answer_that_it_gets_alone(
    loaded: LoadedModel, max_batch_tokens: int
) -> None:
    together = run_all(make_engine(loaded, max_batch_tokens=max_batch_tokens), requests())
    for request in requests():
        alone = run_alone(loaded, request)
        assert together[request.request_id].token_ids == alone.token_ids


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("steps_ahead", [1, 3])
@pytest.mark.parametrize("num_pages", [24, 400])
def test_steps_that_overlap_equal_steps_in_turn(
    loaded: LoadedModel, steps_ahead: int, num_pages: int
) -> None:
    in_turn = run_all(make_engine(loaded), requests())
    engine = make_engine(loaded, overlap=True, steps_ahead=steps_ahead, num_pages=num_pages)
    overlapping = run_all(engine, requests())
    assert {name: answer.essence for name, answer in overlapping.items()} == {
        name: answer.essence for name, answer in in_turn.items()
    }


def test_an_answer_ends_at_the_first_stop_token_of_a_canvas(loaded: LoadedModel) -> None:
    (request,) = requests()[:1]
    whole = run_alone(loaded, request).token_ids
    stop = whole[WIDTH + 4]
    sampling = replace(request.sampling, stop_token_ids=(stop,))
    answer = run_alone(loaded, replace(request, sampling=sampling))
    assert answer.token_ids == whole[: whole.index(stop) + 1]
    assert answer.finish is not None
    assert answer.finish.stop_reason == stop


def test_seeds_differ_and_a_greedy_request_needs_none(loaded: LoadedModel) -> None:
    def answer(**params: object) -> list[int]:
        sampling = SamplingParams(max_tokens=WIDTH, ignore_eos=True, **params)
        return run_alone(loaded, Request("r", tuple(range(40, 60)), sampling)).token_ids

    assert answer(seed=1) == answer(seed=1)
    assert answer(seed=1) != answer(seed=2)
    assert answer(temperature=0.0) == answer(temperature=0.0)
    assert answer(temperature=0.0, seed=3) != answer(temperature=0.0)


@pytest.mark.parametrize(
    ("field", "value"), [("block_length", 8), ("threshold", 0.5), ("policy", "low_confidence")]
)
def test_what_canvases_cannot_be_denoised_by_is_refused(
    loaded: LoadedModel, field: str, value: object
) -> None:
    request = Request("r", (5, 6), SamplingParams(max_tokens=4, **{field: value}))
    with pytest.raises(InvalidRequest) as caught:
        make_engine(loaded).check(request)
    assert caught.value.field in (field, "policy")
