"""Dream-VL's logits, rows of images and configuration."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.dream_vl import MODEL, TRAITS
from tests.support.engines import run_alone
from tests.support.forward import full, logits_of
from tests.support.golden_images import assert_serves_text_alone
from tests.support.image_rows import (
    assert_pixels_are_recorded,
    assert_rows_are_near,
    assert_rows_are_recorded,
    assert_rows_depend_on_the_image_alone,
    rows_of,
)
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, family_of, find_family
from unmask.models.vision.qwen2_config import read_qwen2_config


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("dream_vl"), MODEL.raw_config()))


def test_logits_with_images_are_those_of_transformers(loaded: LoadedModel) -> None:
    """Of two images between texts, the last of which has masks."""
    recorded, pixels = MODEL.recorded(), MODEL.pixels()
    ids = recorded["input_ids"]
    logits = logits_of(
        loaded,
        ids,
        full(len(ids)),
        image_rows=(ids == TRAITS.token_id).nonzero().flatten(),
        image_vectors=torch.cat([rows_of(loaded, pixels[i]) for i in (3, 1)]),
        coordinates=recorded["positions"],
    )
    expected = recorded["logits"]
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_pixels_and_rows_of_images_are_those_of_the_reference(loaded: LoadedModel) -> None:
    assert_pixels_are_recorded(MODEL)
    assert_rows_are_recorded(MODEL, loaded)
    assert_rows_depend_on_the_image_alone(MODEL, loaded)


def test_rows_in_fewer_bits_are_near(tmp_path: Path) -> None:
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config()), dtype="bfloat16")
    assert_rows_are_near(MODEL, loaded, "bfloat16", 0.05)


def test_a_loaded_model_says_how_it_takes_images(loaded: LoadedModel) -> None:
    assert loaded.info.images == TRAITS


def test_defaults_are_those_of_the_authors_evaluation(loaded: LoadedModel, tmp_path: Path) -> None:
    """Another preset has their quickstart's temperature."""
    default = loaded.info.default_sampling
    assert (default.policy, default.temperature) == ("low_confidence", 0.0)
    traits = find_family("DreamVLModel").traits({})
    assert (traits.attention, traits.shift, traits.schedule) == ("full", True, "timed")
    assert (traits.mask_token_id, traits.stated_positions) == (151_666, 8192)


def without(part: str) -> dict[str, torch.Tensor]:
    return {name: t for name, t in MODEL.tensors().items() if not name.startswith(part)}


def test_a_checkpoint_without_its_tower_serves_text(loaded: LoadedModel, tmp_path: Path) -> None:
    tensors = {name: t for name, t in without("visual.").items() if "projector" not in name}
    blind = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(), tensors))
    assert_serves_text_alone(blind)
    request = MODEL.shown("text")
    assert run_alone(blind, request).essence == run_alone(loaded, request).essence


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("projector.linear_2.bias", r"there is no projector\.linear_2\.bias"),
        ("visual.blocks.1.norm2.bias", r"there is no visual\.blocks\.1\.norm2\.bias"),
        ("visual.merger.ln_q.bias", r"there is no visual\.merger\.ln_q\.bias"),
    ],
)
def test_text_is_served_where_tensors_of_the_tower_do_not_fit(
    part: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = f"images are not taken.*{message}"
    MODEL.assert_takes_none(tmp_path, caplog, reason, tensors=without(part))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_crops": 4}, r"vision_config\.num_crops: 4"),
        ({"hidden_act": "gelu"}, r"vision_config\.hidden_act"),
        ({"num_heads": 16}, "embed_dim 32 is no multiple of 4 num_heads 16"),
        ({"mlp_ratio": 0.5}, "mlp_ratio must be a whole number from 1 to 64, got 0.5"),
        ({"patch_size": 8}, "patch_size must be 8, got 4"),
    ],
)
def test_images_alone_are_refused_for_an_odd_tower(
    change: dict[str, Any], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = MODEL.raw_config()
    raw["vision_config"] |= change
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken: .*{message}", raw=raw)


def test_what_a_configuration_leaves_out_is_as_in_the_authors_class() -> None:
    vision = read_qwen2_config({"vision_config": {}})
    assert vision is not None
    assert (vision.num_layers, vision.num_heads, vision.hidden_size) == (32, 16, 1280)
    assert (vision.intermediate_size, vision.num_outputs, vision.unit_size) == (5120, 3584, 28)
    assert vision.full_layers == set(range(32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mrope_section": [2, 3, 4]}, "has 9 pairs, but a head has 8"),
        ({"mrope_section": None}, "has 64 pairs, but a head has 8"),
        ({"rope_scaling": {"mrope_section": [1, 1, 6]}}, r"rope_scaling\.mrope_section"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope_scaling of type linear with mrope_section is not supported",
        ),
        ({"projector_hidden_act": "silu"}, "projector_hidden_act"),
        ({"full_attn_mask": False}, "full_attn_mask: false"),
        ({"expand_token_id": 5}, "expand_token_id: 5"),
        ({"n_action_bins": 256}, "n_action_bins: 256"),
    ],
)
def test_fields_of_another_model_are_refused_by_name(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(**change)))


@pytest.mark.parametrize("changes", [{}, {"architectures": None}], ids=str)
def test_the_class_or_the_model_type_tells_the_family(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert family_of(MODEL.opened(tmp_path, **changes)).name == "dream-vl"
