"""Gemma 4's vision tower against recorded rows of transformers, and checkpoints without images."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

pytest.importorskip("transformers.models.gemma4")

from transformers.models.gemma4 import Gemma4VisionConfig

from tests.support.canvases import load
from tests.support.golden_images import assert_logged, assert_serves_text_alone
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Cells
from unmask.images import ImageTraits
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.registry import LoadedModel, load_model
from unmask.models.vision.gemma4_config import read_gemma4_config
from unmask.models.vision.gemma4_traits import read_cell_traits

FOLDER = GOLDEN / "dgemma_images"
NUM_IMAGES = 3
TOWER = "model.encoder.vision_tower."
TRAITS = ImageTraits(508, (509,), (510,), Cells(12, 70), sees_itself=True)
Change = Callable[[dict[str, Tensor]], object]


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "forward.safetensors")


def vision_of(model: Any) -> Callable[[Tensor], Tensor]:
    assert isinstance(model, CanvasDecoder)
    assert model.vision is not None
    vision = model.vision
    return lambda pixels: vision(pixels, (1, 1))


def raw_config(**changes: Any) -> dict[str, Any]:
    """Golden configuration with changes of `vision_config`."""
    raw: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return raw | {"vision_config": raw["vision_config"] | changes}


def write(folder: Path, raw: dict[str, Any], change: Change | None = None) -> Path:
    """Golden checkpoint with another configuration and changed tensors."""
    (folder / "config.json").write_text(json.dumps(raw))
    shutil.copy(FOLDER / "processor_config.json", folder)
    tensors = load_file(FOLDER / "model.safetensors")
    if change is not None:
        change(tensors)
    save_file(tensors, folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    return folder


def load_folder(folder: Path, **config: Any) -> LoadedModel:
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())


@pytest.mark.parametrize("index", range(NUM_IMAGES))
def test_rows_of_images_are_those_of_the_reference(golden: dict[str, Tensor], index: int) -> None:
    """Images of more rows than the text model's window, of one row of cells, and between."""
    expected = golden[f"features.{index}"]
    rows = vision_of(load(FOLDER))(golden[f"pixels.{index}"])
    assert rows.dtype == torch.float32
    assert (rows - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_in_fewer_bits_are_near(golden: dict[str, Tensor], dtype: torch.dtype) -> None:
    vision = vision_of(load(FOLDER, dtype))
    for index in range(NUM_IMAGES):
        expected = golden[f"features.{index}"]
        rows = vision(golden[f"pixels.{index}"])
        assert rows.dtype == dtype
        assert (rows.float() - expected).norm() < 0.02 * expected.norm()


def test_a_checkpoint_says_how_it_takes_images() -> None:
    raw = raw_config()
    assert read_cell_traits(raw, FOLDER) == TRAITS
    raw["text_config"]["use_bidirectional_attention"] = None
    traits = read_cell_traits(raw, FOLDER)
    assert traits is not None
    assert not traits.sees_itself


def test_a_loaded_model_has_the_tower_and_says_so(
    tmp_path: Path, golden: dict[str, Tensor]
) -> None:
    loaded = load_folder(write(tmp_path, raw_config()))
    assert loaded.info.images == TRAITS
    assert vision_of(loaded.model)(golden["pixels.1"]).shape == (7, 64)


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_the_tower_stays_in_the_dtype_of_the_model(
    tmp_path: Path, golden: dict[str, Tensor], quantization: str
) -> None:
    loaded = load_folder(write(tmp_path, raw_config()), quantization=quantization)
    rows = vision_of(loaded.model)(golden["pixels.0"])
    assert torch.equal(rows, vision_of(load(FOLDER))(golden["pixels.0"]))


def test_a_quantized_tower_is_dequantized(tmp_path: Path, golden: dict[str, Tensor]) -> None:
    name = f"{TOWER}encoder.layers.0.mlp.up_proj.linear.weight"

    def quantize(tensors: dict[str, Tensor]) -> None:
        weight = tensors[name]
        scale = weight.abs().amax(1, keepdim=True) / 127
        tensors[name] = (weight / scale).round().to(torch.int8)
        tensors[f"{name}_scale"] = scale

    raw = raw_config() | {"quantization_config": {"quant_method": "compressed-tensors"}}
    rows = vision_of(load_folder(write(tmp_path, raw, quantize)).model)(golden["pixels.0"])
    expected = golden["features.0"]
    assert 0 < (rows - expected).abs().max() < 0.02 * expected.abs().max()


def without_tower(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if "vision" in name]:
        del tensors[name]


@pytest.mark.parametrize("has_config", [False, True])
def test_a_checkpoint_of_text_takes_no_images(tmp_path: Path, has_config: bool) -> None:
    raw = raw_config()
    if not has_config:
        del raw["vision_config"]
    assert_serves_text_alone(load_folder(write(tmp_path, raw, without_tower)))


def test_a_tower_without_a_configuration_is_left_out(tmp_path: Path) -> None:
    raw = raw_config() | {"vision_config": None}
    assert_serves_text_alone(load_folder(write(tmp_path, raw)))


CHANGES: list[tuple[Change, str]] = [
    (lambda tensors: tensors.pop(f"{TOWER}std_bias"), "there is no .*std_bias"),
    (
        lambda tensors: tensors.update({f"{TOWER}std_bias": torch.zeros(3)}),
        r"std_bias is \(3,\), expected \(32,\)",
    ),
    (
        lambda tensors: tensors.update({f"{TOWER}std_bias": torch.zeros(32, dtype=torch.int32)}),
        "std_bias is in a format that is not supported",
    ),
    (
        lambda tensors: tensors.update({f"{TOWER}encoder.gate": torch.zeros(3)}),
        "unexpected .*encoder.gate",
    ),
    (
        lambda tensors: tensors.pop("model.encoder.embed_vision.embedding_projection.weight"),
        "there is no .*embedding_projection",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_text_is_served_where_tensors_of_the_tower_do_not_fit(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert_serves_text_alone(load_folder(write(tmp_path, raw_config(), change)))
    assert_logged(caplog, f"images are not taken.*{message}")


def test_frequencies_of_the_tower_may_be_saved(tmp_path: Path) -> None:
    def add(tensors: dict[str, Tensor]) -> None:
        tensors[f"{TOWER}encoder.rotary_emb.inv_freq"] = torch.ones(4)

    assert load_folder(write(tmp_path, raw_config(), add)).info.images is not None


def test_what_a_configuration_leaves_out_is_as_in_transformers() -> None:
    vision = read_gemma4_config({"vision_config": {}})
    assert vision is not None
    config = Gemma4VisionConfig()
    assert (vision.hidden_size, vision.intermediate_size) == (768, config.intermediate_size)
    assert (vision.num_layers, vision.head_dim) == (config.num_hidden_layers, config.head_dim)
    heads = config.num_attention_heads, config.num_key_value_heads
    assert (vision.num_heads, vision.num_kv_heads) == heads
    assert (vision.rms_norm_eps, vision.rope_theta) == (config.rms_norm_eps, 100.0)
    assert (vision.cell, vision.num_positions) == (48, config.position_embedding_size)
    assert (vision.is_clipped, vision.is_standardized) == (False, False)


def test_the_published_configuration_is_read() -> None:
    published = Path(__file__).parent.parent / "published" / "diffusion-gemma-26b.json"
    raw = json.loads(published.read_text())["config"]
    traits = read_cell_traits(raw, FOLDER.parent)
    assert traits == ImageTraits(258880, (255999,), (258882,), Cells(48, 280), sees_itself=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_crops": 4}, r"vision_config\.num_crops: 4"),
        ({"output_proj_dims": 8}, r"vision_config\.output_proj_dims: 8"),
        ({"attention_bias": True}, r"vision_config\.attention_bias: true"),
        ({"hidden_activation": "relu"}, r"vision_config\.hidden_activation"),
        ({"model_type": "siglip"}, r"vision_config\.model_type"),
        ({"standardize": 1}, r"vision_config\.standardize: 1"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"rope_parameters\.rope_type"),
        ({"rope_parameters": {"rope_theta": 0}}, r"vision_config\.rope_parameters\.rope_theta"),
        ({"rope_parameters": 3}, r"vision_config\.rope_parameters"),
        ({"patch_size": 0}, r"vision_config\.patch_size must be a whole number"),
        ({"pooling_kernel_size": "3"}, r"vision_config\.pooling_kernel_size must be"),
        ({"hidden_size": 1.5}, r"vision_config\.hidden_size must be a whole number"),
        ({"num_key_value_heads": 3}, "num_attention_heads 2 is no multiple of"),
        ({"head_dim": 6}, r"vision_config\.head_dim 6 is no multiple of 4"),
        ({"position_embedding_size": 209}, "210 patches in a line"),
        ({"patch_size": 8}, "patch_size must be 8, got 4"),
    ],
)
def test_images_alone_are_refused_for_an_odd_configuration(
    change: dict[str, Any], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert_serves_text_alone(load_folder(write(tmp_path, raw_config(**change))))
    assert_logged(caplog, f"images are not taken: .*{message}")


@pytest.mark.parametrize("change", [{"image_token_id": 512}, {"boi_token_id": -1}])
def test_tokens_of_images_are_in_the_vocabulary(change: dict[str, int]) -> None:
    message = f"{next(iter(change))} .* is not in a vocabulary of 512"
    with pytest.raises(InvalidCheckpoint, match=message):
        read_cell_traits(raw_config() | change, FOLDER)


PROCESSOR = {"patch_size": 4, "pooling_kernel_size": 3}


def traits_with(folder: Path, file: str, content: object) -> ImageTraits | None:
    (folder / file).write_text(json.dumps(content))
    return read_cell_traits(raw_config() | {"vision_soft_tokens_per_image": 60}, folder)


def test_the_number_of_rows_is_of_the_processor_else_of_the_configuration(tmp_path: Path) -> None:
    def rows(file: str, content: object) -> int | None:
        traits = traits_with(tmp_path, file, content)
        if traits is None:
            return None
        assert isinstance(traits.fit, Cells)
        return traits.fit.max_rows

    assert rows("preprocessor_config.json", {}) == 60
    assert rows("preprocessor_config.json", PROCESSOR) == 60
    assert rows("preprocessor_config.json", PROCESSOR | {"max_soft_tokens": 50}) == 50
    assert rows("processor_config.json", {"processor_class": "Gemma4Processor"}) == 50
    nested = {"image_processor": PROCESSOR | {"max_soft_tokens": 40}}
    assert rows("processor_config.json", nested) == 40


def test_a_processor_may_normalize_by_nothing(tmp_path: Path) -> None:
    fields = PROCESSOR | {"do_normalize": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    assert traits_with(tmp_path, "preprocessor_config.json", fields) is not None
    other = PROCESSOR | {"do_normalize": False, "image_mean": [0.5] * 3}
    assert traits_with(tmp_path, "preprocessor_config.json", other) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_normalize": True, "image_mean": [0.5, 0.5, 0.5]}, r"image_mean must be \[0, 0, 0\]"),
        ({"do_normalize": True, "image_std": [1.0, 1.0, 2.0]}, r"image_std must be \[1, 1, 1\]"),
        ({"do_resize": False}, "do_resize: false"),
        ({"do_rescale": False}, "do_rescale: false"),
        ({"rescale_factor": 0.0078125}, "rescale_factor must be 1 / 255"),
        ({"resample": 2}, "resample: 2"),
        ({"patch_size": 16}, "patch_size must be 4, got 16"),
        ({"pooling_kernel_size": 2}, "pooling_kernel_size must be 3, got 2"),
        ({"max_soft_tokens": "many"}, "rows of an image must be"),
        ({"crop_to_patches": True}, "crop_to_patches: true"),
    ],
)
def test_images_are_refused_for_a_processor_that_is_not_supported(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        traits_with(tmp_path, "preprocessor_config.json", PROCESSOR | change)


def test_images_are_refused_for_a_processor_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text("{")
    with pytest.raises(InvalidCheckpoint, match=r"processor_config\.json is not JSON"):
        read_cell_traits(raw_config(), tmp_path)
