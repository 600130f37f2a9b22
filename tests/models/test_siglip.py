"""SigLIP's tower against recorded rows of transformers, and checkpoints without images."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers.models.llava_onevision")

from transformers import LlavaOnevisionConfig, SiglipVisionConfig

from tests.support.golden_images import assert_serves_text_alone
from tests.support.image_rows import (
    Change,
    assert_pixels_are_recorded,
    assert_rows_are_near,
    assert_rows_are_recorded,
    assert_rows_depend_on_the_image_alone,
    rows_of,
)
from tests.support.sdar_vl import MODEL, TILES, TRAITS
from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Tiles
from unmask.images import ImageTraits
from unmask.models.registry import LoadedModel
from unmask.models.vision.siglip_config import read_siglip_config
from unmask.models.vision.siglip_traits import read_tile_traits

TOWER = "vision_tower.vision_model."
BIAS = f"{TOWER}encoder.layers.1.mlp.fc1.bias"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("sdar_vl"), MODEL.raw_config()))


def test_tiles_of_images_are_those_of_the_reference() -> None:
    assert_pixels_are_recorded(MODEL)


def test_rows_of_images_are_those_of_the_reference(loaded: LoadedModel) -> None:
    """Images without padding, with padding above, beside, and of which the map is shrunk."""
    assert_rows_are_recorded(MODEL, loaded)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rows_in_fewer_bits_are_near(tmp_path: Path, dtype: str) -> None:
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config()), dtype=dtype)
    assert_rows_are_near(MODEL, loaded, dtype, 0.03)


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
    for name in [name for name in tensors if not name.startswith("language_model.")]:
        del tensors[name]


@pytest.mark.parametrize("has_config", [False, True])
def test_a_checkpoint_of_text_takes_no_images(tmp_path: Path, has_config: bool) -> None:
    raw = MODEL.raw_config() if has_config else MODEL.raw_config(vision_config=None)
    assert_serves_text_alone(MODEL.load(MODEL.write(tmp_path, raw, tensors=changed(without_tower))))


CHANGES: list[tuple[Change, str]] = [
    (lambda tensors: tensors.pop(BIAS), "there is no .*fc1.bias"),
    (lambda tensors: tensors.pop("image_newline"), "there is no image_newline"),
    (
        lambda tensors: tensors.update({BIAS: torch.zeros(3)}),
        r"fc1.bias is \(3,\), expected \(40,\)",
    ),
    (
        lambda tensors: tensors.update({BIAS: torch.zeros(40, dtype=torch.int32)}),
        "fc1.bias is in a format that is not supported",
    ),
    (
        lambda tensors: tensors.update({f"{TOWER}encoder.gate": torch.zeros(3)}),
        "unexpected .*encoder.gate",
    ),
    (
        lambda tensors: tensors.update({"multi_modal_projector.norm": torch.zeros(3)}),
        "unexpected multi_modal_projector.norm",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_text_is_served_where_tensors_of_the_tower_do_not_fit(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = changed(change)
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken.*{message}", tensors=tensors)


def test_what_is_behind_the_layers_may_be_stored_or_not(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[f"{TOWER}head.probe"] = torch.zeros(1, 1, 24)
        del tensors[f"{TOWER}post_layernorm.bias"]

    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(), tensors=changed(change)))
    assert loaded.info.images == TRAITS


def test_what_a_configuration_leaves_out_is_as_in_transformers() -> None:
    vision, config = read_siglip_config({"vision_config": {}}), SiglipVisionConfig()
    assert vision is not None
    assert (vision.hidden_size, vision.num_heads) == (768, config.num_attention_heads)
    assert (vision.num_layers, vision.patch_size) == (config.num_hidden_layers, config.patch_size)
    sizes = config.intermediate_size, config.image_size, config.layer_norm_eps
    assert (vision.intermediate_size, vision.image_size, vision.layer_norm_eps) == sizes


def published() -> dict[str, Any]:
    """Fields of the published `config.json` and `preprocessor_config.json`."""
    path = Path(__file__).parent.parent / "published" / "sdar-vl-8b.json"
    fields: dict[str, Any] = json.loads(path.read_text())
    return fields


def test_the_published_configuration_is_read(tmp_path: Path) -> None:
    files = published()
    for name in ("preprocessor_config", "processor_config"):
        (tmp_path / f"{name}.json").write_text(json.dumps(files[name]))
    shapes = tuple((384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7))
    assert read_tile_traits(files["config"], tmp_path) == ImageTraits(
        151655, (), (), Tiles(384, 27, shapes, 9), sees_itself=False
    )
    listed = [list(shape) for shape in shapes]
    assert LlavaOnevisionConfig().image_grid_pinpoints == listed


@pytest.mark.parametrize(("height", "width", "num_rows"), [(384, 384, 1485), (3024, 4032, 7309)])
def test_images_take_as_many_rows_as_in_the_published_model(
    height: int, width: int, num_rows: int
) -> None:
    shapes = tuple((384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7))
    assert Tiles(384, 27, shapes, 9).num_rows(height, width) == num_rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_crops": 4}, r"vision_config\.num_crops: 4"),
        ({"hidden_act": "relu"}, r"vision_config\.hidden_act"),
        ({"model_type": "clip_vision_model"}, r"vision_config\.model_type"),
        ({"num_channels": 4}, r"vision_config\.num_channels: 4"),
        ({"patch_size": 0}, r"vision_config\.patch_size must be a whole number"),
        ({"patch_size": 21}, r"vision_config\.patch_size 21 is above image_size 20"),
        ({"image_size": "20"}, r"vision_config\.image_size must be"),
        ({"layer_norm_eps": -1}, r"vision_config\.layer_norm_eps must be"),
        ({"num_attention_heads": 5}, "hidden_size 24 is no multiple of num_attention_heads 5"),
        ({"image_size": 16}, r"\[20, 20\], which are not two multiples of 16"),
    ],
)
def test_images_alone_are_refused_for_an_odd_tower(
    change: dict[str, Any], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = MODEL.raw_config()
    raw["vision_config"] |= change
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken: .*{message}", raw=raw)


@pytest.mark.parametrize(
    "change",
    [
        {"vision_config": 3},
        {"vision_feature_layer": -2},
        {"vision_feature_select_strategy": "default"},
        {"projector_hidden_act": "relu"},
        {"multimodal_projector_bias": False},
        {"use_image_newline_parameter": False},
        {"vision_aspect_ratio": "anyres"},
        {"vision_aspect_ratio": 9},
        {"image_grid_pinpoints": []},
        {"image_grid_pinpoints": [[20, 0]]},
        {"image_grid_pinpoints": [[20, 40, 60]]},
        {"image_grid_pinpoints": None},
        {"image_token_index": 512},
        {"image_token_index": True},
    ],
    ids=str,
)
def test_images_are_refused_for_another_way_to_rows(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidCheckpoint, match=next(iter(change))):
        read_tile_traits(MODEL.raw_config(**change), MODEL.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": [0.48, 0.5, 0.5]}, r"image_mean must be \[0.5, 0.5, 0.5\], got \[0.48"),
        ({"image_mean": [0.5]}, r"image_mean must be .* got \[0.5\]"),
        ({"image_std": None}, r"image_std must be \[0.5, 0.5, 0.5\], got None"),
        ({"size": {"height": 20, "width": 40}}, "size must be"),
        ({"size": 20}, "size must be"),
        ({"crop_size": {"height": 20, "width": 20}}, "crop_size"),
        ({"image_grid_pinpoints": [[20, 20]]}, "image_grid_pinpoints are not those"),
        ({"do_resize": False}, "do_resize: false"),
        ({"do_normalize": False}, "do_normalize: false"),
        ({"do_center_crop": True}, "do_center_crop: true"),
        ({"rescale_factor": 0.0078125}, "rescale_factor must be 1 / 255"),
        ({"resample": 2}, "resample: 2"),
        ({"crop_to_patches": True}, "crop_to_patches: true"),
    ],
)
def test_images_are_refused_for_a_processor_that_is_not_supported(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(MODEL.processor_config(**change)))
    with pytest.raises(InvalidCheckpoint, match=message):
        read_tile_traits(MODEL.raw_config(), tmp_path)


def test_one_number_is_that_of_each_colour(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(MODEL.processor_config(image_mean=0.5))
    )
    assert read_tile_traits(MODEL.raw_config(), tmp_path) == TRAITS


def test_images_are_refused_where_prompts_would_have_other_rows(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(MODEL.processor_config()))
    fields = {"num_image_tokens": 9, "vision_aspect_ratio": "anyres_max_9", "image_token": "<i>"}
    (tmp_path / "processor_config.json").write_text(json.dumps(fields))
    assert read_tile_traits(MODEL.raw_config(), tmp_path) == TRAITS
    (tmp_path / "processor_config.json").write_text(json.dumps(fields | {"num_image_tokens": 4}))
    with pytest.raises(InvalidCheckpoint, match=r"num_image_tokens is 4, but config\.json has 9"):
        read_tile_traits(MODEL.raw_config(), tmp_path)


def test_images_are_refused_without_a_processor(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"there is neither preprocessor_config\.json nor"):
        read_tile_traits(MODEL.raw_config(), tmp_path)


def test_the_token_of_images_may_have_its_newer_name() -> None:
    raw = MODEL.raw_config(image_token_index=None, image_token_id=77)
    traits = read_tile_traits(raw, MODEL.folder)
    assert traits == ImageTraits(77, (), (), TILES, sees_itself=False)
