"""Qwen2.5-VL's tower against recorded rows of transformers, and checkpoints without images."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.golden_images import assert_serves_text_alone
from tests.support.image_rows import (
    Change,
    assert_pixels_are_recorded,
    assert_rows_are_near,
    assert_rows_are_recorded,
    assert_rows_depend_on_the_image_alone,
    rows_of,
)
from tests.support.llada_ui import MODEL, TAGS, TRAITS
from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Units
from unmask.images import ImageTraits
from unmask.models.registry import LoadedModel
from unmask.models.vision.qwen_config import read_qwen_config
from unmask.models.vision.qwen_traits import read_unit_traits

TOWER = "model.visual."
BIAS = f"{TOWER}blocks.1.mlp.gate_proj.bias"
IMAGE = TRAITS.token_id


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("llada_ui"), MODEL.raw_config()))


def test_pixels_of_images_are_those_of_the_reference() -> None:
    assert_pixels_are_recorded(MODEL)


def test_rows_of_images_are_those_of_the_reference(loaded: LoadedModel) -> None:
    """Of images with smaller windows at their edges, and of one that is a single window."""
    assert_rows_are_recorded(MODEL, loaded)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rows_in_fewer_bits_are_near(tmp_path: Path, dtype: str) -> None:
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config()), dtype=dtype)
    assert_rows_are_near(MODEL, loaded, dtype, 0.05)


def test_rows_depend_on_nothing_but_the_image(loaded: LoadedModel) -> None:
    assert_rows_depend_on_the_image_alone(MODEL, loaded)


def test_a_loaded_model_says_how_it_takes_images(loaded: LoadedModel) -> None:
    assert loaded.info.images == TRAITS


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_the_tower_stays_in_the_dtype_of_the_model(
    loaded: LoadedModel, tmp_path: Path, quantization: str
) -> None:
    folder = MODEL.write(tmp_path, MODEL.raw_config())
    quantized, pixels = MODEL.load(folder, quantization=quantization), MODEL.pixels()[1]
    assert torch.equal(rows_of(quantized, pixels), rows_of(loaded, pixels))


def changed(change: Change) -> dict[str, Tensor]:
    tensors = MODEL.tensors()
    change(tensors)
    return tensors


def without_tower(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if name.startswith(TOWER)]:
        del tensors[name]


@pytest.mark.parametrize("has_config", [False, True])
def test_a_checkpoint_of_text_takes_no_images(tmp_path: Path, has_config: bool) -> None:
    raw = MODEL.raw_config() if has_config else MODEL.raw_config(vision_config=None)
    assert_serves_text_alone(MODEL.load(MODEL.write(tmp_path, raw, tensors=changed(without_tower))))


CHANGES: list[tuple[Change, str]] = [
    (lambda tensors: tensors.pop(BIAS), "there is no .*gate_proj.bias"),
    (
        lambda tensors: tensors.update({BIAS: torch.zeros(3)}),
        r"gate_proj.bias is \(3,\), expected \(40,\)",
    ),
    (
        lambda tensors: tensors.update({BIAS: torch.zeros(40, dtype=torch.int32)}),
        "gate_proj.bias is in a format that is not supported",
    ),
    (
        lambda tensors: tensors.update({f"{TOWER}blocks.0.attn.q_norm": torch.zeros(3)}),
        "unexpected .*q_norm",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_text_is_served_where_tensors_of_the_tower_do_not_fit(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = changed(change)
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken.*{message}", tensors=tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_crops": 4}, r"vision_config\.num_crops: 4"),
        ({"hidden_act": "relu"}, r"vision_config\.hidden_act"),
        ({"model_type": "qwen3_vl"}, r"vision_config\.model_type"),
        ({"in_channels": 4}, r"vision_config\.in_channels: 4"),
        ({"patch_size": 0}, r"vision_config\.patch_size must be a whole number"),
        ({"depth": 0}, r"vision_config\.depth must be a whole number"),
        ({"spatial_merge_size": "2"}, r"vision_config\.spatial_merge_size must be"),
        ({"num_heads": 16}, "hidden_size 32 is no multiple of 4 num_heads 16"),
        ({"window_size": 7}, "window_size 7 is less than a unit of 8 pixels"),
        ({"fullatt_block_indexes": [4]}, r"fullatt_block_indexes must list some of 4 layers"),
        ({"fullatt_block_indexes": 1}, r"fullatt_block_indexes must list"),
        ({"out_hidden_size": 32}, "out_hidden_size is 32, but the text model has rows of 64"),
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
    vision = read_qwen_config({"vision_config": {}})
    assert vision is not None
    assert (vision.num_layers, vision.num_heads, vision.intermediate_size) == (32, 16, 3420)
    assert (vision.unit_size, vision.window_side, vision.num_frames) == (28, 4, 2)
    assert vision.full_layers == {7, 15, 23, 31}


def traits_of(folder: Path, processor: dict[str, Any] | None, **changes: Any) -> ImageTraits | None:
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return read_unit_traits(MODEL.raw_config(**changes), folder, {"<|image_pad|>": IMAGE}.get)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"size": {"shortest_edge": 64, "longest_edge": 640}}, (64, 640)),
        ({"size": None, "min_pixels": 64, "max_pixels": 640}, (64, 640)),
        ({"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 2}, (2, 2)),
        ({"size": None}, (3136, 1_003_520)),
    ],
)
def test_limits_of_pixels_are_as_in_transformers(
    limits: dict[str, Any], expected: tuple[int, int], tmp_path: Path
) -> None:
    """The older names override a size; what is left out is the default of the class."""
    traits = traits_of(tmp_path, MODEL.processor_config(**limits))
    assert traits is not None
    assert traits.fit == Units(8, *expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": [0.5, 0.5, 0.5]}, "image_mean must be"),
        ({"image_std": 1}, "image_std must be .* got 1"),
        ({"merge_size": 1}, "merge_size must be 2, got 1"),
        ({"patch_size": None}, "patch_size must be 4, got 14"),
        ({"temporal_patch_size": 1}, "temporal_patch_size must be 2, got 1"),
        ({"size": 20}, "size must be an object"),
        ({"size": {"height": 20, "width": 20}}, "size.height: 20"),
        ({"min_pixels": 4096}, "images of 4096 to 2048 pixels"),
        ({"max_pixels": "all"}, "images of 256 to 'all' pixels"),
        ({"do_resize": False}, "do_resize: false"),
        ({"do_center_crop": True}, "do_center_crop: true"),
        ({"rescale_factor": 0.0078125}, "rescale_factor must be 1 / 255"),
        ({"resample": 2}, "resample: 2"),
        ({"max_patches": 9}, "max_patches: 9"),
    ],
)
def test_images_are_refused_for_a_processor_that_is_not_supported(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        traits_of(tmp_path, MODEL.processor_config(**change))


def test_images_are_refused_without_a_processor(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"there is neither preprocessor_config\.json nor"):
        traits_of(tmp_path, None)


@pytest.mark.parametrize("token", [None, True, 512])
def test_images_are_refused_without_their_token(token: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="image_token_id"):
        traits_of(tmp_path, MODEL.processor_config(), image_token_id=token)


def test_images_are_refused_where_the_tokenizer_has_another_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = r"image_token_id is 505, but <\|image_pad\|> of the tokenizer is 506"
    MODEL.assert_takes_none(tmp_path, caplog, reason, tags=TAGS[:-1])
