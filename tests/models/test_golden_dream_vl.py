"""Dream-VL: answers with full attention are those of the reference, whatever else a step has."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.dream_vl import MODEL
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden_images import ImageCase
from tests.support.image_answers import (
    assert_company_changes_nothing,
    assert_golden_in_company,
    finish_alone,
)
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions

CASES = MODEL.cases()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("dream_vl"), MODEL.raw_config()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_as_many_steps(
    loaded: LoadedModel, case: ImageCase
) -> None:
    assert finish_alone(loaded, case).usage.denoising_steps == case.forwards


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"overlap": True, "steps_ahead": 2},
        {"max_batch_tokens": 130},
        {"num_pages": 20, "page_size": 12, "overlap": True},
    ],
    ids=str,
)
def test_company_and_overlap_change_nothing(loaded: LoadedModel, changes: dict[str, Any]) -> None:
    assert_golden_in_company(loaded, CASES, changes)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_with_kept_keys_answers_do_not_depend_on_company(loaded: LoadedModel, cache: str) -> None:
    """Passes behind the prompt have no rows of images, and the numbers of rows behind them."""
    changes: dict[str, Any] = {"cache": cache, "block_length": 8, "steps": None}
    asked = [
        replace(case.request, sampling=replace(case.request.sampling, **changes))
        for case in CASES[:4]
    ]
    assert_company_changes_nothing(loaded, asked)


def test_keys_that_are_kept_for_one_block_are_those_of_no_cache(loaded: LoadedModel) -> None:
    """Of an answer of one token, which is the first of its only block."""
    for case in CASES[:4]:
        sampling = replace(case.request.sampling, max_tokens=1, steps=None)
        plain = replace(case.request, sampling=sampling)
        kept = replace(plain, sampling=replace(sampling, cache="prefix"))
        assert run_alone(loaded, plain).token_ids == run_alone(loaded, kept).token_ids


def test_guidance_a_temperature_and_blocks_may_be_beside_images(loaded: LoadedModel) -> None:
    asked = [
        MODEL.shown("guided", 1, cfg_scale=0.7),
        MODEL.shown("two", 3, 0, temperature=0.8, seed=3),
        MODEL.shown("blocks", 2, block_length=4),
        MODEL.shown("text"),
    ]
    assert_company_changes_nothing(loaded, asked)


def test_a_stream_has_the_tokens_of_the_whole_answer(loaded: LoadedModel) -> None:
    case = CASES[0]
    streamed = replace(case.request, refinements=RefinementOptions())
    answer = run_alone(loaded, streamed)
    assert answer.token_ids == case.tokens
    assert answer.refinements


def test_images_of_another_shape_give_another_answer(tmp_path: Path, loaded: LoadedModel) -> None:
    """Rows and tokens are the same; only where rows are in their image is not."""
    case = next(case for case in CASES if len(case.request.images) == 1)
    [image] = case.request.images
    turned = replace(case.request, images=(replace(image, columns=image.end - image.start),))
    assert run_alone(loaded, turned).token_ids != case.tokens
    plain = replace(case.request, images=(replace(image, columns=None),))
    assert run_all(make_engine(loaded), [plain])[case.name].token_ids != case.tokens
