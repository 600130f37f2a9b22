"""Nemotron's VLM: rows of images and answers in all modes are those of the reference.

It does not matter what else a step has.
"""

import itertools
from dataclasses import replace
from functools import partial
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
from tests.support.nemotron_vlm import MODEL
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, family_of
from unmask.types import ModeName

CASES = MODEL.cases()
MODES: tuple[ModeName, ...] = ("diffusion", "ar", "self_speculation")
shown = partial(MODEL.shown, max_tokens=20)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("nemotron_vlm"), MODEL.raw_config()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_passes(
    loaded: LoadedModel, case: ImageCase
) -> None:
    finish = finish_alone(loaded, case)
    assert finish.usage.mode == case.request.sampling.mode
    passes, mode = finish.usage.forward_passes, case.request.sampling.mode
    # With blocks, the authors do not count the pass of the prompt.
    assert passes <= case.forwards + (mode == "diffusion")
    if mode != "diffusion" and case.name.endswith("-end"):
        assert passes == case.forwards  # no last block was cut to what is missing


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("changes", company_options(24), ids=str)
def test_company_chunks_pages_and_overlap_change_nothing(
    loaded: LoadedModel, changes: dict[str, Any]
) -> None:
    """Chunks of 24 tokens end within images and their lines."""
    assert_golden_in_company(loaded, CASES, changes)


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    """Pages but the last, whose last row predicts the first token."""
    for case, num_cached in cached_again(loaded, CASES):
        assert num_cached == (len(case.request.prompt_token_ids) - 1) // 16 * 16


def test_pages_are_shared_by_like_images_only(loaded: LoadedModel) -> None:
    """Another image of the same size, so that both prompts have the same tokens."""
    one = shown("a", 1)
    pixels = one.images[0].pixels
    changed = replace(pixels, digest=bytes(16), data=pixels.data[::-1])
    other = replace(one, images=(replace(one.images[0], pixels=changed),))
    assert_pages_are_of_one_image(loaded, one, other, 32)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_steps_with_images_replay_no_graph_and_others_do(
    loaded: LoadedModel, overlap: bool
) -> None:
    assert_images_replay_no_graph(loaded, CASES, overlap=overlap)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_verified_draft_is_what_the_model_writes_token_by_token(
    loaded: LoadedModel, temperature: float
) -> None:
    modes = ("ar", "self_speculation")
    asked = [
        shown(f"{mode}-{i}", *images, mode=mode, temperature=temperature, seed=i)
        for i, images in enumerate(((0,), (1, 2), (3, 3, 0)))
        for mode in modes
    ]
    answers = run_all(make_engine(loaded, overlap=True, max_batch_tokens=50), asked)
    for i in range(3):
        ar, drafted = (answers[f"{mode}-{i}"] for mode in modes)
        assert drafted.token_ids == ar.token_ids
        assert len(set(ar.token_ids)) > 1


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "seed": 5}, {"logprobs": 2}])
def test_every_kind_of_request_may_have_images(
    loaded: LoadedModel, sampling: dict[str, Any]
) -> None:
    requests = [
        shown(f"{mode}-{images}", *images, mode=mode, **sampling)
        for mode, images in itertools.product(MODES, ((1,), (2, 0), ()))
    ]
    assert_company_changes_nothing(loaded, requests)


@pytest.mark.parametrize("changes", [{}, {"architectures": None}, {"model_type": None}], ids=str)
def test_the_class_or_the_model_type_tells_the_family(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert family_of(MODEL.opened(tmp_path, **changes)).name == "nemotron-vlm"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_bias": True}, "attention_bias: true"),
        ({"sliding_window": 64}, "sliding_window: 64"),
        ({"dlm_type": "dream"}, "dlm_type"),
        ({"image_token_id": 10}, "image_token_id: 10"),
        ({"image_token_index": 10}, "image_token_index: 10"),
        ({"text_config": {"hidden_size": 32}}, "text_config"),
    ],
)
def test_fields_of_another_model_are_refused_by_name(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(**change)))


def test_the_text_is_served_as_that_of_the_text_model(loaded: LoadedModel, tmp_path: Path) -> None:
    """Without the tower, of which the prompt of a text needs nothing."""
    tensors = MODEL.tensors()
    text = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(("encoder.vision_tower.", "encoder.multi_modal_projector."))
    }
    raw = MODEL.raw_config(architectures=["NemotronLabsDiffusionModel"], model_type=None)
    kept = {name: raw[name] for name in raw if name not in ("vision_config", "spatial_merge_size")}
    for name in ("vision_feature_layer", "multimodal_projector_bias", "projector_hidden_act"):
        del kept[name]
    plain = MODEL.load(MODEL.write(tmp_path, kept, text))
    assert plain.model.vision is None
    for mode in MODES:
        request = shown("text", mode=mode)
        assert run_alone(plain, request).essence == run_alone(loaded, request).essence
