"""Fast-dVLM's logits, rows of images and configuration."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.engines import run_alone
from tests.support.fast_dvlm import MODEL, TRAITS
from tests.support.forward import logits_of
from tests.support.golden_images import assert_serves_text_alone
from tests.support.image_rows import (
    assert_pixels_are_recorded,
    assert_rows_are_recorded,
    rows_of,
)
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, family_of, find_family

HEAD, EMBEDDING = "lm_head.weight", "model.language_model.embed_tokens.weight"
BLOCK = 8  # positions of the open block of the recorded pass
# Qwen2.5-VL's, for messages of text and images.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>"
    "system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("fast_dvlm"), MODEL.raw_config()))


def recorded_horizons(num_tokens: int) -> np.ndarray:
    """Causal ends, but for the open block, which sees all of itself."""
    horizons = np.arange(1, num_tokens + 1)
    horizons[-BLOCK:] = num_tokens
    return horizons


def test_logits_with_images_are_those_of_transformers(loaded: LoadedModel) -> None:
    """Of three images between texts, and of an open block behind them."""
    recorded, pixels = MODEL.recorded(), MODEL.pixels()
    ids = recorded["input_ids"]
    logits = logits_of(
        loaded,
        ids,
        recorded_horizons(len(ids)),
        image_rows=(ids == TRAITS.token_id).nonzero().flatten(),
        image_vectors=torch.cat([rows_of(loaded, pixels[i]) for i in (3, 1, 0)]),
        coordinates=recorded["positions"],
    )
    expected = recorded["logits"]
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_pixels_and_rows_of_images_are_those_of_the_reference(loaded: LoadedModel) -> None:
    assert_pixels_are_recorded(MODEL)
    assert_rows_are_recorded(MODEL, loaded)


def test_a_loaded_model_says_how_it_takes_images(loaded: LoadedModel) -> None:
    assert loaded.info.images == TRAITS


def test_a_checkpoint_without_its_tower_serves_text(loaded: LoadedModel, tmp_path: Path) -> None:
    tensors = {
        name: tensor
        for name, tensor in MODEL.tensors().items()
        if not name.startswith("model.visual.")
    }
    blind = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(), tensors))
    assert_serves_text_alone(blind)
    request = MODEL.shown("text")
    assert run_alone(blind, request).essence == run_alone(loaded, request).essence


def head_of(tmp_path: Path, *, factor: float, **fields: Any) -> torch.Tensor:
    """The LM head of a checkpoint that has one beside its embedding."""
    tensors, raw = MODEL.tensors(), MODEL.raw_config()
    tensors[HEAD] = tensors[EMBEDDING] * factor
    text = raw["text_config"] | {"tie_word_embeddings": fields.pop("of_text", None)}
    head = MODEL.load(MODEL.write(tmp_path, raw | fields | {"text_config": text}, tensors)).model
    return head.lm_head(torch.eye(64)).T


@pytest.mark.parametrize(
    "fields",
    [
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": None, "of_text": False},
        {"tie_word_embeddings": True, "of_text": False},
        {"tie_word_embeddings": None},
    ],
    ids=str,
)
def test_a_head_of_its_own_is_read(fields: dict[str, Any], tmp_path: Path) -> None:
    """The tensor tells, as the files disagree on whether it is tied, or say nothing."""
    expected = 2 * MODEL.tensors()[EMBEDDING]
    assert torch.allclose(head_of(tmp_path, factor=2.0, **fields), expected)


def test_a_copy_of_the_embedding_may_be_the_head(tmp_path: Path) -> None:
    expected = MODEL.tensors()[EMBEDDING]
    assert torch.allclose(head_of(tmp_path, factor=1.0, of_text=True), expected)


def test_another_head_than_the_embedding_is_refused_where_it_is_tied(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"lm_head\.weight"):
        head_of(tmp_path, factor=2.0, of_text=True)


@pytest.mark.parametrize("changes", [{}, {"architectures": None}], ids=str)
def test_the_class_or_the_model_type_tells_the_family(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert family_of(MODEL.opened(tmp_path, **changes)).name == "fast-dvlm"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rope_scaling", {"mrope_section": [8, 8]}, r"mrope_section must be 3 numbers of pairs"),
        ("rope_scaling", {"mrope_section": [2, 3, 4]}, r"has 9 pairs, but a head has 8"),
        ("rope_scaling", {"mrope_section": [-1, 3, 6]}, r"mrope_section must be 3 numbers"),
        ("rope_scaling", {"mrope_section": "2"}, r"mrope_section must be 3 numbers of pairs"),
        (
            "rope_scaling",
            {"mrope_section": [2, 3, 3], "type": "linear", "factor": 2.0},
            "rope_scaling of type linear with mrope_section is not supported",
        ),
        ("rope_scaling", {"mrope_interleaved": True}, r"rope_scaling\.mrope_interleaved: true"),
        ("rope_scaling", None, r"has no mrope_section, by which rows of images are rotated"),
        ("rope_scaling", {"type": "mrope"}, r"rope_scaling has no mrope_section"),
        ("tie_word_embeddings", {}, r"tie_word_embeddings must be true, false or null"),
        ("layer_types", ["sliding_attention"] * 3, "layer_types with sliding_attention"),
        ("use_sliding_window", True, r"text_config\.use_sliding_window: true"),
        ("num_experts", 8, r"text_config\.num_experts: 8"),
    ],
)
def test_fields_of_another_text_model_are_refused_by_name(
    field: str, value: Any, message: str, tmp_path: Path
) -> None:
    raw = MODEL.raw_config()
    raw["text_config"] |= {field: value}
    with pytest.raises(InvalidCheckpoint, match=message):
        MODEL.load(MODEL.write(tmp_path, raw))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision_start": 3}, "vision_start: 3"),
        ({"text_config": None}, "config.json has no 'text_config'"),
        ({"bd_size": 0}, "bd_size must be a whole number"),
        ({"tie_word_embeddings": [True]}, r"tie_word_embeddings must be true, false or null"),
        ({"tie_word_embeddings": "false"}, r"tie_word_embeddings must be true, false or null"),
    ],
)
def test_fields_of_another_model_are_refused_by_name(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(**change)))


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_scaling": {"mrope_section": [2, 3, 3], "type": "mrope"}},
        {
            "rope_scaling": None,
            "rope_theta": None,
            "rope_parameters": {
                **{"mrope_section": [2, 3, 3], "rope_theta": 10_000.0, "rope_type": "default"}
            },
        },
    ],
    ids=str,
)
def test_sections_are_read_under_all_their_names(rope: dict[str, Any], tmp_path: Path) -> None:
    raw = MODEL.raw_config()
    raw["text_config"] |= rope
    loaded = MODEL.load(MODEL.write(tmp_path, raw))
    case = MODEL.cases()[0]
    assert run_alone(loaded, case.request).token_ids == case.tokens


def test_blocks_are_as_long_as_the_model_says_and_not_its_text_model(tmp_path: Path) -> None:
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(bd_size=16)))
    assert loaded.info.block_length == 16


def test_what_is_published_is_known_without_its_files() -> None:
    traits = find_family("Fast_dVLMForConditionalGeneration").traits({})
    assert (traits.attention, traits.shift, traits.block_length) == ("causal_prefix", True, 32)
    assert (traits.mask_token_id, traits.sub_block_length) == (151_665, 8)


def test_chats_have_a_place_for_each_image(loaded: LoadedModel, tmp_path: Path) -> None:
    folder = MODEL.write(tmp_path, MODEL.raw_config())
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    tokenizer = MODEL.load(folder).tokenizer
    image = {"type": "image"}
    chat = [{"role": "user", "content": [image, {"type": "text", "text": "Where?"}, image]}]
    place = "<|vision_start|><|image_pad|><|vision_end|>"
    told = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"{place}Where?{place}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.apply_chat(chat) == tokenizer.encode(told)
    assert tokenizer.added_token_id("<|im_end|>") in loaded.info.eos_token_ids
