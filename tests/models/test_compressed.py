"""8-bit checkpoints load as their dequantized weights, and convert to any format."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.compressing import compress
from tests.support.engines import assert_same_in_company, plain_requests
from tests.support.stored import held, logits
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model

INT8, FP8 = torch.int8, torch.float8_e4m3fn
ALL = 10**9
LAYER, NORM = "model.layers.0.self_attn.q_proj", "model.norm.weight"


def group(**weights: object) -> dict:
    """`quantization_config` of compressed-tensors."""
    weights = {"num_bits": 8, "symmetric": True, "strategy": "channel"} | weights
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}


BLOCKS = {"quant_method": "fp8", "weight_block_size": [64, 96], "activation_scheme": "dynamic"}
FORMATS = {
    "fp8 channel": (group(type="float"), FP8, (1, ALL), {}),
    "fp8 channel flat": (group(type="float"), FP8, (1, ALL), {"flat": True}),
    "fp8 tensor": (group(type="float", strategy="tensor"), FP8, (ALL, ALL), {"flat": True}),
    "fp8 block": (BLOCKS, FP8, (64, 96), {"scale_name": "weight_scale_inv"}),
    "fp8 block of transformers": (
        BLOCKS | {"expert_dtype": "fp8", "modules_to_convert": ["lm_head"], "scale_fmt": "float"},
        FP8,
        (64, 96),
        {"scale_name": "weight_scale_inv"},
    ),
    "fp8 channel of ModelOpt": (
        {"quant_method": "modelopt", "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"},
        FP8,
        (1, ALL),
        {"flat": True},
    ),
    "fp8 block 128": ({"quant_method": "fp8"}, FP8, (128, 128), {"scale_name": "weight_scale_inv"}),
    "fp8 block of compressed-tensors": (
        group(type="float", strategy="block", block_structure=[32, 128]),
        FP8,
        (32, 128),
        {},
    ),
    "fp8 channel of AutoRound": (
        {"quant_method": "auto-round", "packing_format": "auto_round:fp8_static", "bits": 8}
        | {"data_type": "fp", "fmt": "e4m3", "group_size": -1, "act_bits": 8},
        FP8,
        (1, ALL),
        {"flat": True},
    ),
    "fp8 block of AutoRound": (
        {"quant_method": "fp8", "autoround_version": "0.16.1", "bits": 8, "act_dynamic": True}
        | {"data_type": "fp", "fmt": "e4m3", "group_size": [64, 96], "act_bits": 8},
        FP8,
        (64, 96),
        {"scale_name": "weight_scale_inv"},
    ),
    "fbgemm": ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, FP8, (1, ALL), {}),
    "int8 channel": (group(type="int"), INT8, (1, ALL), {}),
    "int8 packed": (group(type="int"), INT8, (1, ALL), {"packed": True}),
    "int8 group": (group(type="int", strategy="group", group_size=32), INT8, (1, 32), {}),
}


def load(folder: Path, **options: str) -> LoadedModel:
    config = ModelConfig(path=str(folder), **{"dtype": "float32", **options})
    return load_model(config, DecodingConfig())


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).abs().max() / other.abs().max()).item()


@pytest.mark.usual_cases(5)
@pytest.mark.parametrize("quantization", ["auto", "none"])
@pytest.mark.parametrize("name", FORMATS)
def test_logits_are_those_of_the_weights_that_are_meant(
    tiny_folder: Path, tmp_path: Path, name: str, quantization: str
) -> None:
    config, dtype, block, how = FORMATS[name]
    meant = compress(tiny_folder, tmp_path / "8", config, dtype, block, **how)
    whole = compress(tiny_folder, tmp_path / "32", {}, dtype, block)
    save_file(whole | meant, tmp_path / "32" / "model.safetensors")
    (tmp_path / "32" / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    loaded = load(tmp_path / "8", quantization=quantization)
    expected = logits(load(tmp_path / "32"))
    assert difference(logits(loaded), expected) < 1e-5
    assert difference(logits(load(tiny_folder)), expected) > 1e-3
    # A block as wide as a layer's inputs, of which there are 128 or 384, is one for each output.
    as_stored = {dtype if block[1] >= inputs else torch.float32 for inputs in (128, 384)}
    assert held(loaded) == (as_stored if quantization == "auto" else {torch.float32})


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize(("quantization", "dtype"), [("int8", INT8), ("fp8", FP8)])
@pytest.mark.parametrize("name", [None, "fp8 channel", "fp8 block", "int8 packed"])
def test_any_checkpoint_can_be_held_in_8_bits(
    tiny_folder: Path, tmp_path: Path, name: str | None, quantization: str, dtype: torch.dtype
) -> None:
    folder = tiny_folder
    if name is not None:
        folder = tmp_path / "8"
        config, stored, block, how = FORMATS[name]
        compress(tiny_folder, folder, config, stored, block, **how)
    loaded = load(folder, quantization=quantization)
    assert held(loaded) == {dtype}
    error = difference(logits(loaded), logits(load(folder, quantization="none")))
    assert error < (0.15 if quantization == "fp8" else 0.03)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_a_request_in_8_bits_gets_the_same_tokens_in_any_company(
    tiny_folder: Path, quantization: str, dtype: str
) -> None:
    loaded = load(tiny_folder, quantization=quantization, dtype=dtype)
    assert_same_in_company(loaded, plain_requests(6, max_tokens=24))


@pytest.mark.parametrize("block", [(1, 32), (128, 128)])
def test_scales_may_be_powers_of_two_in_bytes(
    tiny_folder: Path, tmp_path: Path, block: tuple[int, int]
) -> None:
    """MXFP8, and fp8 in blocks with scales of type F8_E8M0."""
    config = group(type="float", strategy="group", group_size=32)
    if block != (1, 32):
        config = {"quant_method": "fp8", "weight_block_size": list(block)}
    compress(tiny_folder, tmp_path / "8", config, FP8, block)
    shutil.copytree(tmp_path / "8", tmp_path / "32")

    def to_bytes(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith("_scale")]:
            tensors[name] = (tensors[name].log2().round() + 127).to(torch.uint8)

    def to_floats(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith("_scale")]:
            tensors[name] = 2.0 ** tensors[name].log2().round()

    rewrite(tmp_path / "8", to_bytes)
    rewrite(tmp_path / "32", to_floats)
    assert torch.equal(logits(load(tmp_path / "8")), logits(load(tmp_path / "32")))


def test_zero_points_of_zero_are_symmetric(tiny_folder: Path, tmp_path: Path) -> None:
    compress(tiny_folder, tmp_path, group(type="int"), INT8, (1, ALL))
    expected = logits(load(tmp_path))
    zeros = {f"{LAYER}.weight_zero_point": torch.zeros(128, 1, dtype=torch.int8)}
    rewrite(tmp_path, lambda tensors: tensors.update(zeros))
    assert torch.equal(logits(load(tmp_path)), expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_whole_numbers_without_scales_are_no_weights(
    tiny_folder: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    shutil.copytree(tiny_folder, tmp_path, dirs_exist_ok=True)
    rewrite(tmp_path, lambda tensors: tensors.update({NORM: tensors[NORM].to(dtype)}))
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(InvalidCheckpoint, match=f"{NORM} is {kind}, and nothing scales it"):
        load(tmp_path)


def rewrite(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop(f"{LAYER}.weight_scale"),
            f"{LAYER}.weight is 8-bit, but has no weight_sc",
        ),
        (lambda t: t.update({f"{LAYER}.weight_scale": torch.ones(3, 1)}), "its scales are (3, 1)"),
        (
            lambda t: t.update({f"{LAYER}.weight_scale": torch.ones(128, 1).to(torch.int32)}),
            "are torch.int32",
        ),
        (lambda t: t.update({f"{LAYER}.weight_zero_point": torch.ones(128, 1)}), "only symmetric"),
        (
            lambda t: t.update({f"{LAYER}.weight": torch.ones(128, 128).to(torch.float8_e5m2)}),
            "has scales, but is not stored as int8 or float8_e4m3fn",
        ),
        (
            lambda t: t.update({f"{LAYER}.weight": torch.ones(9, 128).to(torch.float8_e4m3fn)}),
            "is (9, 128), but its scales are (128, 1)",
        ),
    ],
)
def test_scales_that_do_not_fit_are_named(tiny_folder, tmp_path, change, message) -> None:
    compress(tiny_folder, tmp_path, group(type="float"), FP8, (1, ALL))
    rewrite(tmp_path, change)
    with pytest.raises(InvalidCheckpoint, match=re.escape(message)):
        load(tmp_path)


@pytest.mark.parametrize("name", ["q_proj.input_scale", "q_proj.act_scale", "k_scale", "kv_scale"])
def test_scales_of_activations_and_of_caches_are_not_read(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    compress(tiny_folder, tmp_path, {"quant_method": "fp8"}, FP8, (ALL, ALL), flat=True)
    expected = logits(load(tmp_path))
    rewrite(tmp_path, lambda t: t.update({f"model.layers.0.self_attn.{name}": torch.ones(1)}))
    assert torch.equal(logits(load(tmp_path)), expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quant_method": "hqq", "bits": 4}, "by hqq is not supported; known are compressed-"),
        (group(num_bits=3, type="int"), "group_0 has weights of 3 bits"),
        (group(symmetric=False, type="int"), "symmetric: False"),
        ({"quant_method": "fp8", "fmt": "e5m2"}, 'fmt: "e5m2"'),
        ({"quant_method": "fp8", "autoround_version": "0.16", "fmt": "e5m2"}, 'fmt: "e5m2"'),
        ({"quant_method": "fp8", "expert_dtype": "fp4"}, 'expert_dtype: "fp4"'),
        (group() | {"sparsity_config": {"format": "sparse-24-bitmask"}}, "sparse-24-bitmask"),
    ],
)
def test_a_quantization_that_is_not_supported_is_named(
    tiny_folder: Path, tmp_path: Path, config: dict, message: str
) -> None:
    compress(tiny_folder, tmp_path, config, INT8, (1, ALL))
    with pytest.raises(InvalidCheckpoint, match=re.escape(message)):
        load(tmp_path)


def test_scales_without_a_word_in_the_config_are_unexpected(tiny_folder, tmp_path) -> None:
    compress(tiny_folder, tmp_path, {}, FP8, (1, ALL))
    raw = json.loads((tmp_path / "config.json").read_text())
    del raw["quantization_config"]
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(InvalidCheckpoint, match=r"unexpected .*mlp\.down_proj\.weight_scale"):
        load(tmp_path)
