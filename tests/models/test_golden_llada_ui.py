"""Answers to prompts with images are those of the reference, whatever else a step has."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import make_engine, run_all
from tests.support.golden_images import ImageCase
from tests.support.image_answers import (
    assert_company_changes_nothing,
    assert_golden,
    assert_golden_in_company,
    assert_images_replay_no_graph,
    assert_pages_are_of_one_image,
    cached_again,
    company_options,
    finish_alone,
)
from tests.support.llada_ui import MODEL
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.models.registry import LoadedModel, find_family

CASES = MODEL.cases()
IMAGE = {"type": "image"}
PLACE = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("llada_ui"), MODEL.raw_config()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_steps(
    loaded: LoadedModel, case: ImageCase
) -> None:
    assert finish_alone(loaded, case).usage.denoising_steps <= case.forwards


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("changes", company_options(40), ids=str)
def test_company_chunks_pages_and_overlap_change_nothing(
    loaded: LoadedModel, changes: dict[str, Any]
) -> None:
    assert_golden_in_company(loaded, CASES, changes)


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    for case, num_cached in cached_again(loaded, CASES):
        assert num_cached == len(case.request.prompt_token_ids) // 32 * 32


def test_pages_are_shared_by_like_images_only(loaded: LoadedModel) -> None:
    """Pictures of as many rows, so that both prompts have the same tokens."""
    one, other = MODEL.shown("a", 1), MODEL.shown("a", 3)
    assert_pages_are_of_one_image(loaded, one, other, 32)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_steps_with_images_replay_no_graph_and_others_do(
    loaded: LoadedModel, overlap: bool
) -> None:
    assert_images_replay_no_graph(loaded, CASES, overlap=overlap)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "sampling",
    [
        {"cache": "block", "policy": "threshold", "threshold": 0.02},
        {"block_length": 8, "open_blocks": 3, "policy": "threshold", "threshold": 0.02},
        {"block_length": 16, "temperature": 0.8, "seed": 5},
        {"logprobs": 2},
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


def renamed_head(to: str) -> dict[str, Any]:
    tensors = MODEL.tensors()
    tensors[to] = tensors.pop("model.lm_head.weight")
    return tensors


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_scaling": None},
        {"rope_scaling": {"mrope_section": [2, 1, 1], "type": "mrope"}},
        {
            "rope_scaling": None,
            "rope_parameters": {
                **{"mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5},
                **{"rope_theta": 600_000.0, "rope_type": "default"},
            },
        },
    ],
    ids=str,
)
def test_sections_of_rope_turn_nothing(rope: dict[str, Any], tmp_path: Path) -> None:
    """The plain index turns rows of images, as in the authors' model."""
    raw = MODEL.raw_config()
    raw["text_config"] |= rope
    assert_golden(
        run_all(make_engine(MODEL.load(MODEL.write(tmp_path, raw))), [CASES[0].request]), CASES[:1]
    )


def test_the_head_may_be_where_the_authors_server_has_it(tmp_path: Path) -> None:
    folder = MODEL.write(tmp_path, MODEL.raw_config(), renamed_head("lm_head.weight"))
    assert_golden(run_all(make_engine(MODEL.load(folder)), [CASES[0].request]), CASES[:1])


def test_a_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    """Nothing is tied by default, so the embedding is not taken in its place."""
    tensors = MODEL.tensors()
    del tensors["model.lm_head.weight"]
    with pytest.raises(InvalidCheckpoint, match=r"lm_head\.weight"):
        MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(), tensors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_scaling": {"mrope_interleaved": True}}, r"rope_scaling\.mrope_interleaved: true"),
        ({"multi_gate": True}, r"text_config\.multi_gate: true"),
    ],
)
def test_fields_of_the_text_model_are_refused_by_name(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    raw = MODEL.raw_config()
    raw["text_config"] |= change
    with pytest.raises(InvalidCheckpoint, match=message):
        MODEL.load(MODEL.write(tmp_path, raw))


def test_chats_are_written_as_the_authors_server_does(loaded: LoadedModel) -> None:
    """The published template of `llada2_bd_chat_template.jinja`, for a turn after another."""
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": [{"type": "text", "text": "Where?"}, IMAGE, IMAGE]},
    ]
    told = (
        "<role>SYSTEM</role>Be brief.\n<role>HUMAN</role>Hi<|role_end|><role>ASSISTANT</role>Yes"
        f"<|role_end|><role>HUMAN</role>Where?{PLACE}{PLACE}<|role_end|><role>ASSISTANT</role>"
    )
    assert loaded.tokenizer.apply_chat(chat) == loaded.tokenizer.encode(told)
    with pytest.raises(InvalidRequest, match="roles are user and assistant"):
        loaded.tokenizer.apply_chat([*chat, {"role": "tool", "content": "2"}])


def test_thoughts_that_are_sent_back_are_before_the_answer(loaded: LoadedModel) -> None:
    """The authors' examples have them so in the content."""
    answer = {"content": "<action> Wait() </action>", "reasoning_content": "It loads."}
    whole = {"content": "<think>It loads.</think>\n<action> Wait() </action>"}
    asked = {"role": "user", "content": "Go"}
    told, raw = (
        loaded.tokenizer.apply_chat([asked, {"role": "assistant", **turn}, asked])
        for turn in (answer, whole)
    )
    assert told == raw


def test_the_end_of_a_turn_ends_an_answer(loaded: LoadedModel) -> None:
    assert loaded.tokenizer.added_token_id("<|role_end|>") in loaded.info.eos_token_ids


def test_neither_edits_nor_mixtures_are_of_this_model(loaded: LoadedModel) -> None:
    assert not loaded.info.can_edit
    assert not loaded.info.can_mix
    traits = find_family("LLaDA2MoE_VLForConditionalGeneration").traits({})
    assert (traits.attention, traits.block_length, traits.shift) == ("block_causal", 32, False)
    large = {"text_config": {"vocab_size": 157_188}}
    published = find_family("LLaDA2MoE_VLForConditionalGeneration").traits(large)
    assert published.mask_token_id == 156_895
