"""Answers to prompts with images are those of the reference, whatever else a step has."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.golden_images import ImageCase
from tests.support.graphs import Recordings
from tests.support.sdar_vl import (
    TRAITS,
    golden_pixels,
    image_cases,
    load,
    raw_config,
    write,
)
from unmask.errors import InvalidCheckpoint
from unmask.images import place_images
from unmask.models.checkpoint import Checkpoint
from unmask.models.registry import LoadedModel, family_of
from unmask.types import Request, SamplingParams

CASES = image_cases()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(write(tmp_path_factory.mktemp("sdar_vl"), raw_config()))


def assert_golden(answers: dict[str, Answer], cases: list[ImageCase] = CASES) -> None:
    assert {case.name: answers[case.name].token_ids for case in cases} == {
        case.name: case.tokens for case in cases
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_steps(
    loaded: LoadedModel, case: ImageCase
) -> None:
    answers = run_all(make_engine(loaded), [case.request])
    assert_golden(answers, [case])
    finish = answers[case.name].finish
    assert finish is not None
    assert finish.usage.denoising_steps <= case.forwards


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prefix_cache": False},
        {"overlap": True, "steps_ahead": 2},
        {"max_batch_tokens": 24},
        {"max_batch_tokens": 64, "page_size": 12, "overlap": True},
        {"num_pages": 20},
        {"speculation_rows": 64},
    ],
    ids=str,
)
def test_company_chunks_pages_and_overlap_change_nothing(
    loaded: LoadedModel, changes: dict[str, Any]
) -> None:
    """Chunks of 24 tokens are less than any image has; some blocks have text and an image."""
    others = company(loaded, 3, seed=4)
    engine = make_engine(loaded, **changes)
    assert_golden(run_all(engine, [*(case.request for case in CASES), *others]))


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    engine = make_engine(loaded)
    requests = [case.request for case in CASES]
    run_all(engine, requests)
    again = run_all(engine, requests)
    assert_golden(again)
    for case in CASES:
        finish = again[case.name].finish
        assert finish is not None
        whole = len(case.request.prompt_token_ids) // 4 * 4
        assert finish.usage.cached_tokens == whole - whole % 16


def shown(name: str, *which: int, **sampling: Any) -> Request:
    """A prompt of the same text for any images."""
    pixels = golden_pixels()
    ids = list(range(30, 39))
    for _ in which:
        ids += [TRAITS.token_id, 40]
    prompt, images = place_images(ids, [pixels[i] for i in which], TRAITS)
    params = {"max_tokens": 12, "ignore_eos": True, **sampling}
    return Request(name, prompt, SamplingParams(**params), images=images)


def test_pages_are_shared_by_like_images_only(loaded: LoadedModel) -> None:
    """Pictures of as many rows, so that both prompts have the same tokens."""
    one = shown("a", 0)
    changed = replace(
        one.images[0].pixels, digest=bytes(16), data=bytes(len(one.images[0].pixels.data))
    )
    other = replace(one, images=(replace(one.images[0], pixels=changed),))
    engine = make_engine(loaded)
    first = run_all(engine, [one])["a"]
    different = run_all(engine, [other])["a"]
    again = run_all(engine, [one])["a"]
    assert first.token_ids == again.token_ids
    assert different.token_ids == run_alone(loaded, other).token_ids != first.token_ids
    used = [
        answer.finish.usage.cached_tokens for answer in (first, different, again) if answer.finish
    ]
    assert used == [0, 0, 48]


@pytest.mark.parametrize("overlap", [False, True])
def test_steps_with_images_replay_no_graph_and_others_do(
    loaded: LoadedModel, overlap: bool
) -> None:
    recordings = Recordings()
    engine = make_engine(
        loaded, graphs=True, overlap=overlap, max_batch_tokens=70, recorder=recordings
    )
    recordings.num_replays = 0
    assert_golden(run_all(engine, [case.request for case in CASES]))
    assert recordings.num_replays > 0


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
    requests = [shown("one", 1, **sampling), shown("two", 2, 0, **sampling)]
    requests += [shown("text", **sampling), CASES[0].request]
    engine = make_engine(
        loaded, graphs=True, overlap=True, max_batch_tokens=100, recorder=Recordings()
    )
    together = run_all(engine, requests)
    for request in requests:
        alone = run_alone(loaded, request)
        assert together[request.request_id].essence == alone.essence


def test_an_image_may_be_larger_than_a_step(loaded: LoadedModel) -> None:
    request = shown("a", 3)
    engine = make_engine(loaded, max_batch_tokens=16)
    assert run_all(engine, [request])["a"].essence == run_alone(loaded, request).essence


def opened(folder: Path, **changes: Any) -> Checkpoint:
    (folder / "config.json").write_text(json.dumps(raw_config(**changes)))
    return Checkpoint.open(folder)


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
    assert family_of(opened(tmp_path, **changes)).name == "sdar-vl"


def test_an_autoregressive_model_of_that_class_is_refused_by_name(tmp_path: Path) -> None:
    text = {"model_type": "qwen2", "vocab_size": 512}
    with pytest.raises(
        InvalidCheckpoint, match="LlavaOnevisionForConditionalGeneration is the class of an auto"
    ):
        family_of(opened(tmp_path, model_type="llava_onevision", text_config=text))


def test_fields_of_the_text_model_are_refused_by_name(tmp_path: Path) -> None:
    raw = raw_config()
    raw["text_config"]["expert_capacity"] = 48
    with pytest.raises(InvalidCheckpoint, match=r"text_config\.expert_capacity: 48"):
        load(write(tmp_path, raw))
