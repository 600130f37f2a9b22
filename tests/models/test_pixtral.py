"""Pixtral's tower against transformers', and text alone where its configuration is another."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.support.image_rows import Change, assert_rows_depend_on_the_image_alone, rows_of
from tests.support.nemotron_vlm import LINES, MODEL, TAGS, TRAITS
from unmask.errors import InvalidRequest
from unmask.image_cubic import LOWEST, STEPS, UPPER
from unmask.images import Pixels
from unmask.models.config_fields import check_fields
from unmask.models.nemotron_vlm import FIELDS
from unmask.models.registry import LoadedModel
from unmask.models.vision.pixtral_config import read_pixtral_config
from unmask.models.vision.pixtral_traits import LINE_END, read_line_traits
from unmask.prompts import encode_chat

TOWER, PROJECTOR = "encoder.vision_tower.", "encoder.multi_modal_projector."
GATE = f"{TOWER}transformer.layers.1.feed_forward.gate_proj.weight"
IMAGE = {"type": "image"}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return MODEL.recorded()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("pixtral"), MODEL.raw_config()))


def lines_of(rows: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Rows of units, and those between lines of them."""
    height, width = LINES.scaled(*pixels.source)
    num_columns = width // LINES.size
    padded = torch.cat((rows, rows[:1])).view(height // LINES.size, num_columns + 1, -1)
    return padded[:, :-1].flatten(0, 1), padded[:-1, -1]


def test_levels_of_images_are_those_of_the_reference(golden: dict[str, Tensor]) -> None:
    for index, pixels in enumerate(MODEL.pixels()):
        halves = torch.frombuffer(bytearray(pixels.data), dtype=torch.uint8).long()
        upper, lower = halves.view(2, *golden[f"levels.{index}"].shape)
        levels = (upper * UPPER + lower) / STEPS + LOWEST
        assert (levels - golden[f"levels.{index}"]).abs().max() <= 1 / STEPS


def test_rows_of_images_are_those_of_the_reference(
    loaded: LoadedModel, golden: dict[str, Tensor]
) -> None:
    """Of images with several lines, with one, and with a single unit."""
    ends = MODEL.tensors()["encoder.embed_tokens.weight"][LINE_END]
    for index, pixels in enumerate(MODEL.pixels()):
        expected = golden[f"features.{index}"]
        rows = rows_of(loaded, pixels)
        assert len(rows) == pixels.num_rows
        units, between = lines_of(rows, pixels)
        assert (units - expected).abs().max() < 1e-4 * expected.abs().max()
        assert (between == ends).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rows_in_fewer_bits_are_near(dtype: str, golden: dict[str, Tensor], tmp_path: Path) -> None:
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config()), dtype=dtype)
    for index, pixels in enumerate(MODEL.pixels()):
        expected = golden[f"features.{index}"]
        rows = rows_of(loaded, pixels)
        assert rows.dtype == getattr(torch, dtype)
        units, _ = lines_of(rows, pixels)
        assert (units.float() - expected).norm() < 0.05 * expected.norm()


def test_rows_depend_on_nothing_but_the_image(loaded: LoadedModel) -> None:
    assert_rows_depend_on_the_image_alone(MODEL, loaded)


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_the_tower_stays_in_the_dtype_of_the_model(
    loaded: LoadedModel, quantization: str, tmp_path: Path
) -> None:
    quantized = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config()), quantization=quantization)
    pixels = MODEL.pixels()[1]
    rows, expected = (rows_of(model, pixels) for model in (quantized, loaded))
    assert torch.equal(rows, expected)


def test_a_loaded_model_says_how_it_takes_images(loaded: LoadedModel) -> None:
    assert loaded.info.images == TRAITS


def test_a_chat_has_images_by_the_type_that_the_authors_send(loaded: LoadedModel) -> None:
    tokenizer = loaded.tokenizer
    chat = [{"role": "user", "content": [IMAGE, {"type": "text", "text": "Where? "}, IMAGE]}]
    told = (
        "<|im_start|>user\n<|image_start|>Where? <|image_start|><|im_end|>\n"
        "<|im_start|>assistant\n<think></think>"
    )
    assert tokenizer.apply_chat(chat) == tokenizer.encode(told)
    assert chat[0]["content"][0] == IMAGE
    spelled = tokenizer.apply_chat([{"role": "user", "content": "<|image_start|>"}])
    assert TRAITS.token_id not in spelled


def test_an_image_of_a_chat_becomes_its_lines_between_two_tokens(loaded: LoadedModel) -> None:
    part = {"type": "image", "image": Image.new("RGB", (30, 20))}
    chat = [{"role": "user", "content": [part, {"type": "text", "text": "Hi"}]}]
    ids, images = encode_chat(loaded.tokenizer, chat, loaded.info.images)
    begin, end = ids.index(18), ids.index(21)
    # Four units in each of three lines, and two rows between them.
    assert end - begin - 1 == 3 * 4 + 2
    assert [(image.start, image.end) for image in images] == [(begin + 1, end)]
    assert not images[0].sees_itself


def test_only_models_with_images_rename_them(loaded: LoadedModel, tmp_path: Path) -> None:
    """A checkpoint whose images are not taken has the template's own type."""
    text = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(vision_config=None)))
    assert (text.tokenizer.image_type, loaded.tokenizer.image_type) == ("image", "image_url")


CHANGES: list[tuple[Change, str]] = [
    (lambda tensors: tensors.pop(GATE), "there is no .*gate_proj.weight"),
    (
        lambda tensors: tensors.update({GATE: torch.zeros(3, 3)}),
        r"gate_proj.weight is \(3, 3\), expected \(40, 32\)",
    ),
    (
        lambda tensors: tensors.update({f"{PROJECTOR}linear_1.bias": torch.zeros(32)}),
        "unexpected .*linear_1.bias",
    ),
    (
        lambda tensors: tensors.update({GATE: torch.zeros(40, 32, dtype=torch.int32)}),
        "gate_proj.weight is in a format that is not supported",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_text_is_served_where_tensors_of_the_tower_do_not_fit(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = MODEL.tensors()
    change(tensors)
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken.*{message}", tensors=tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_crops": 4}, r"vision_config\.num_crops: 4"),
        ({"hidden_act": "gelu"}, r"vision_config\.hidden_act"),
        ({"hidden_act": None}, r"vision_config\.hidden_act is not there"),
        ({"model_type": "siglip"}, r"vision_config\.model_type"),
        ({"num_channels": 4}, r"vision_config\.num_channels: 4"),
        ({"patch_size": 0}, r"vision_config\.patch_size must be a whole number"),
        ({"num_attention_heads": 3}, "hidden_size 32 is no multiple of 4 num_attention_heads"),
        ({"head_dim": 8}, "head_dim 8 is not hidden_size / num_attention_heads"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"rope_parameters\.rope_type"),
        ({"rope_parameters": {"rope_theta": 0}}, r"rope_parameters\.rope_theta must be a number"),
        ({"image_size": 1024}, "image_size 1024 is less than the 1400 pixels"),
    ],
)
def test_images_alone_are_refused_for_an_odd_tower(
    change: dict[str, Any], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = MODEL.raw_config()
    raw["vision_config"] |= change
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken: .*{message}", raw=raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spatial_merge_size": None}, "spatial_merge_size must be a whole number"),
        ({"multimodal_projector_bias": True}, "multimodal_projector_bias: true"),
        ({"projector_hidden_act": "relu"}, 'projector_hidden_act: "relu"'),
        ({"vision_feature_layer": -2}, "vision_feature_layer: -2"),
    ],
)
def test_images_alone_are_refused_for_an_odd_projector(
    change: dict[str, Any], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = MODEL.raw_config(**change)
    MODEL.assert_takes_none(tmp_path, caplog, f"images are not taken: .*{message}", raw=raw)


def test_images_alone_are_refused_where_the_tokenizer_has_other_tokens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = r"<\|image_start\|> of the tokenizer is 21, but 18 in the authors'"
    MODEL.assert_takes_none(tmp_path, caplog, reason, tags=TAGS[::-1])


def test_the_published_configuration_is_read() -> None:
    """Sizes and fields that guides to the published file name."""
    raw = MODEL.raw_config(hidden_size=4096)
    raw |= dict.fromkeys(("ada_dlm_loss_ratio", "multi_sampling", "sliding_window"))
    raw |= {"adaptive_mask_rate": False, "num_ar_layers": 0, "num_diffusion_layers": 0}
    raw |= {"num_skip_loss_tokens": 0, "random_length_prob": 0, "tok_mask_half_life_ratio": None}
    check_fields(raw, FIELDS)
    raw["vision_config"] |= {"hidden_size": 1024, "head_dim": 64, "num_attention_heads": 16}
    raw["vision_config"] |= {"patch_size": 14, "num_hidden_layers": 24, "intermediate_size": 4096}
    config = read_pixtral_config(raw)
    assert config is not None
    assert (config.unit_size, config.num_layers, config.num_outputs) == (28, 24, 4096)
    ids = dict(zip(TAGS, range(18, 22), strict=True))
    traits = read_line_traits(raw, MODEL.folder, ids.get)
    assert traits is not None
    assert traits.fit.num_rows(3000, 4000) == 38 * 51 - 1


def test_an_image_is_refused_by_name_where_text_alone_is_served(tmp_path: Path) -> None:
    text = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(vision_config=None)))
    with pytest.raises(InvalidRequest, match="takes no images"):
        encode_chat(text.tokenizer, [{"role": "user", "content": [IMAGE]}], text.info.images)
