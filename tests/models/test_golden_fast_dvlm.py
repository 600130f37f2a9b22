"""Fast-dVLM: answers in all modes are those of the reference, with images and without.

It does not matter what else a step has.
"""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.fast_dvlm import MODEL, TRAITS
from tests.support.golden_images import ImageCase, in_file
from tests.support.graphs import Recordings
from tests.support.image_answers import (
    assert_company_changes_nothing,
    assert_golden_in_company,
    assert_images_replay_no_graph,
    assert_pages_are_of_one_image,
    cached_again,
    company_options,
    finish_alone,
)
from unmask.image_files import read_image
from unmask.images import place_images
from unmask.models.registry import LoadedModel
from unmask.types import (
    Delta,
    Event,
    ModeName,
    Refinement,
    RefinementOptions,
    Request,
    SamplingParams,
)

CASES = MODEL.cases()
MODES: tuple[ModeName, ...] = ("diffusion", "ar", "self_speculation")
shown = partial(MODEL.shown, max_tokens=20)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("fast_dvlm"), MODEL.raw_config()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_passes(
    loaded: LoadedModel, case: ImageCase
) -> None:
    finish = finish_alone(loaded, case)
    assert finish.usage.mode == case.request.sampling.mode
    assert finish.usage.forward_passes <= case.forwards
    if case.request.sampling.mode != "diffusion" and case.name.endswith("-end"):
        assert finish.usage.forward_passes == case.forwards  # no last block was cut short


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("changes", company_options(36), ids=str)
def test_company_chunks_pages_and_overlap_change_nothing(
    loaded: LoadedModel, changes: dict[str, Any]
) -> None:
    """Chunks of 36 tokens end within images."""
    assert_golden_in_company(loaded, CASES, changes)


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    """Pages but the last, whose last row predicts the first token."""
    for case, num_cached in cached_again(loaded, CASES):
        assert num_cached == (len(case.request.prompt_token_ids) - 1) // 16 * 16


def test_a_stream_has_the_tokens_of_the_whole_answer(loaded: LoadedModel) -> None:
    engine = make_engine(loaded)
    for case in CASES[:2]:
        engine.add(replace(case.request, refinements=RefinementOptions()))
    events = list[Event]()
    while engine.has_work:
        events += engine.step()
    for case in CASES[:2]:
        deltas = [e for e in events if isinstance(e, Delta) and e.request_id == case.name]
        assert [token for delta in deltas for token in delta.token_ids] == case.tokens
        assert len(deltas) > 1
    assert any(isinstance(event, Refinement) for event in events)


def gray(name: str, lines: int, columns: int) -> Request:
    """A prompt of one image of a single colour, and of as many tokens for any lines and columns."""
    pixels = read_image(in_file(torch.full((8 * lines, 8 * columns, 3), 90).byte()), TRAITS)
    ids, images = place_images([*range(30, 39), TRAITS.token_id, 40], [pixels], TRAITS)
    return Request(name, ids, SamplingParams(max_tokens=12, ignore_eos=True), images=images)


def test_pages_are_shared_by_images_of_one_shape_only(loaded: LoadedModel) -> None:
    """Images of the same tokens and of the same bytes, of another number of lines."""
    one, other = gray("a", 4, 6), gray("a", 6, 4)
    assert one.images[0].pixels.data == other.images[0].pixels.data
    assert_pages_are_of_one_image(loaded, one, other, 32)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_steps_with_images_replay_no_graph_and_others_do(
    loaded: LoadedModel, overlap: bool
) -> None:
    assert_images_replay_no_graph(loaded, CASES, overlap=overlap)


def test_only_the_prompt_of_an_image_replays_no_graph(loaded: LoadedModel) -> None:
    """Blocks behind it are rotated by one number a row, which graphs read as a position."""
    recordings = Recordings()
    engine = make_engine(loaded, graphs=True, recorder=recordings)
    for case in CASES[:1]:
        recordings.num_replays = 0
        answer = run_all(engine, [case.request])[case.name]
        assert answer.token_ids == case.tokens
        assert answer.finish is not None
        # A pass reads the prompt; the others have a graph, and one for sampling at least.
        assert recordings.num_replays >= answer.finish.usage.forward_passes - 1


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_verified_draft_is_what_the_model_writes_token_by_token(
    loaded: LoadedModel, temperature: float
) -> None:
    modes = ("ar", "self_speculation")
    asked = [
        shown(f"{mode}-{i}", *images, mode=mode, temperature=temperature, seed=i)
        for i, images in enumerate(((0,), (1, 2), (3, 3, 0), ()))
        for mode in modes
    ]
    answers = run_all(make_engine(loaded, overlap=True, max_batch_tokens=50), asked)
    for i in range(4):
        ar, drafted = (answers[f"{mode}-{i}"] for mode in modes)
        assert drafted.token_ids == ar.token_ids
        assert len(set(ar.token_ids)) > 1


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 0.8, "seed": 5},
        {"logprobs": 2},
        {"block_length": 8, "policy": "low_confidence", "steps": 3},
    ],
    ids=str,
)
def test_every_kind_of_request_may_have_images(
    loaded: LoadedModel, sampling: dict[str, Any]
) -> None:
    requests = [
        shown(f"{mode}-{images}", *images, mode=mode, **sampling)
        for mode, images in itertools.product(MODES, ((1,), (2, 0), ()))
        if mode != "ar" or "block_length" not in sampling
    ]
    assert_company_changes_nothing(loaded, requests)


def test_defaults_are_those_of_the_authors_loop(loaded: LoadedModel) -> None:
    """Blocks of 32 in parts of 8, each filled above a confidence of 0.9."""
    case = next(case for case in CASES if case.name == "published-two")
    plain = Request(
        "plain",
        case.request.prompt_token_ids,
        SamplingParams(max_tokens=40, ignore_eos=True),
        images=case.request.images,
    )
    assert run_alone(loaded, plain).token_ids == case.tokens
