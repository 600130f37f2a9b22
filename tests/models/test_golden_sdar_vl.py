"""Answers to prompts with images are those of the reference, whatever else a step has."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden_images import ImageCase
from tests.support.image_answers import (
    assert_company_changes_nothing,
    assert_golden_in_company,
    assert_images_replay_no_graph,
    assert_pages_are_of_one_image,
    cached_again,
    company_options,
    finish_alone,
)
from tests.support.sdar_vl import MODEL
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, family_of

CASES = MODEL.cases()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("sdar_vl"), MODEL.raw_config()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_steps(
    loaded: LoadedModel, case: ImageCase
) -> None:
    assert finish_alone(loaded, case).usage.denoising_steps <= case.forwards


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("changes", company_options(24), ids=str)
def test_company_chunks_pages_and_overlap_change_nothing(
    loaded: LoadedModel, changes: dict[str, Any]
) -> None:
    """Chunks of 24 tokens are less than any image has; some blocks have text and an image."""
    assert_golden_in_company(loaded, CASES, changes)


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    for case, num_cached in cached_again(loaded, CASES):
        whole = len(case.request.prompt_token_ids) // 4 * 4
        assert num_cached == whole - whole % 16


def test_pages_are_shared_by_like_images_only(loaded: LoadedModel) -> None:
    """Pictures of as many rows, so that both prompts have the same tokens."""
    one = MODEL.shown("a", 0)
    changed = replace(
        one.images[0].pixels, digest=bytes(16), data=bytes(len(one.images[0].pixels.data))
    )
    other = replace(one, images=(replace(one.images[0], pixels=changed),))
    assert_pages_are_of_one_image(loaded, one, other, 48)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_steps_with_images_replay_no_graph_and_others_do(
    loaded: LoadedModel, overlap: bool
) -> None:
    assert_images_replay_no_graph(loaded, CASES, overlap=overlap)


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize(
    "sampling",
    [
        {"block_length": 32, "cache": "block", "policy": "threshold", "threshold": 0.02},
        {"block_length": 8, "cache": "block"},
        {"block_length": 8, "open_blocks": 3, "policy": "threshold", "threshold": 0.02},
        {"block_length": 16, "temperature": 0.8, "seed": 5},
        {"block_length": 32, "logprobs": 2},
        {"block_length": 1},
    ],
    ids=str,
)
def test_every_kind_of_request_may_have_images(
    loaded: LoadedModel, sampling: dict[str, Any]
) -> None:
    """Blocks of 32 begin with rows of images, which are computed again or kept."""
    requests = [MODEL.shown("one", 1, **sampling), MODEL.shown("two", 2, 0, **sampling)]
    requests += [MODEL.shown("text", **sampling), CASES[0].request]
    assert_company_changes_nothing(loaded, requests)


def test_an_image_may_be_larger_than_a_step(loaded: LoadedModel) -> None:
    request = MODEL.shown("a", 3)
    engine = make_engine(loaded, max_batch_tokens=16)
    assert run_all(engine, [request])["a"].essence == run_alone(loaded, request).essence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model_type": "llava_onevision"},
        {"architectures": None},
        {
            "architectures": None,
            "auto_map": {"AutoModel": "m.LlavaOnevisionForConditionalGeneration"},
        },
    ],
    ids=str,
)
def test_the_text_model_or_the_model_type_tells_the_family(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert family_of(MODEL.opened(tmp_path, **changes)).name == "sdar-vl"


def test_an_autoregressive_model_of_that_class_is_refused_by_name(tmp_path: Path) -> None:
    text = {"model_type": "qwen2", "vocab_size": 512}
    with pytest.raises(
        InvalidCheckpoint, match="LlavaOnevisionForConditionalGeneration is the class of an auto"
    ):
        family_of(MODEL.opened(tmp_path, model_type="llava_onevision", text_config=text))


def test_fields_of_the_text_model_are_refused_by_name(tmp_path: Path) -> None:
    raw = MODEL.raw_config()
    raw["text_config"]["expert_capacity"] = 48
    with pytest.raises(InvalidCheckpoint, match=r"text_config\.expert_capacity: 48"):
        MODEL.load(MODEL.write(tmp_path, raw))
