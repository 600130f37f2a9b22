"""Checkpoints of 4 bits stay in 4 bits where kernels multiply them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.engines import assert_same_in_company, plain_requests
from tests.support.forward import block_causal, logits_of
from tests.support.golden import load_golden
from tests.support.mlx import pack_with_mlx
from tests.support.packing import GPTQ_PACKINGS, PACKINGS, pack_checkpoint
from tests.support.stored import load
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel
from unmask_kernels.dispatch import backend
from unmask_kernels.linear.four_bits import FourBitProduct

pytestmark = pytest.mark.usefixtures("triton_kernels")


def logits(loaded: LoadedModel) -> Tensor:
    return logits_of(loaded, torch.arange(12) * 11 % 500, block_causal(12, 4))


def are_in_four_bits(loaded: LoadedModel) -> set[bool]:
    layer = loaded.model._layers[0]
    products = layer.qkv, layer.out, layer.mlp.gated.gate, layer.mlp.down
    return {isinstance(product.packed, FourBitProduct) for product in products}


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("name", PACKINGS)
def test_numbers_in_groups_stay_in_4_bits(
    tiny_folder: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    expected = logits(load(tmp_path, quantization="none"))
    caplog.clear()
    with caplog.at_level("INFO", "unmask.models.registry"):
        loaded = load(tmp_path)
    (told,) = [text for text in caplog.messages if text.startswith("linear weights")]
    held = "e2m1" if "fp4" in name else "int4"
    assert f"held in {held}" in told
    assert "--quantization" not in told
    assert are_in_four_bits(loaded) == {True}
    # Few rows of padding, as of any product of our own.
    assert {layer.is_invariant for layer in loaded.model._layers} == {True}
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("name", [name for name in GPTQ_PACKINGS if name[0] in "23"])
def test_fewer_bits_of_gptq_are_held_in_4(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    pack_checkpoint(tiny_folder, tmp_path, GPTQ_PACKINGS[name])
    expected = logits(load(tmp_path, quantization="none"))
    loaded = load(tmp_path)
    assert are_in_four_bits(loaded) == {True}
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_8_bits_of_gptq_are_not_held_in_4(tiny_folder: Path, tmp_path: Path) -> None:
    pack_checkpoint(tiny_folder, tmp_path, GPTQ_PACKINGS["8 bits"])
    expected = logits(load(tmp_path, quantization="none"))
    loaded = load(tmp_path)
    assert are_in_four_bits(loaded) == {False}
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_numbers_with_biases_are_held_in_4_bits(
    tiny_folder: Path, tmp_path: Path, bits: int
) -> None:
    """MLX's; queries of a layer are in 6 bits, so its queries, keys and values are widened."""
    pack_with_mlx(tiny_folder, tmp_path, bits=bits)
    expected = logits(load(tmp_path, quantization="none"))
    loaded = load(tmp_path)
    first, second = loaded.model._layers[:2]
    assert not isinstance(first.qkv.packed, FourBitProduct)
    products = first.out, first.mlp.gated.gate, first.mlp.down, second.qkv
    assert all(isinstance(product.packed, FourBitProduct) for product in products)
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_projections_whose_inputs_are_in_other_orders_are_widened(
    tiny_folder: Path, tmp_path: Path
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS["gptq act-order"])
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.0.self_attn.k_proj.g_idx"
    tensors[name] = tensors[name].flip(0).contiguous()
    save_file(tensors, tmp_path / "model.safetensors")
    expected = logits(load(tmp_path, quantization="none"))
    loaded = load(tmp_path)
    first, second = (layer.qkv.packed for layer in loaded.model._layers[:2])
    assert not isinstance(first, FourBitProduct)
    assert isinstance(second, FourBitProduct)
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_groups_of_unequal_sizes_are_widened(tiny_folder: Path, tmp_path: Path) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS["gptq act-order"])
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.0.self_attn.o_proj.g_idx"
    tensors[name][:9] = 0
    save_file(tensors, tmp_path / "model.safetensors")
    expected = logits(load(tmp_path, quantization="none"))
    loaded = load(tmp_path)
    assert not isinstance(loaded.model._layers[0].out.packed, FourBitProduct)
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("quantization", ["none", "int8", "fp8"])
def test_another_format_may_be_asked_for(
    tiny_folder: Path, tmp_path: Path, quantization: str
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS["awq"])
    assert are_in_four_bits(load(tmp_path, quantization=quantization)) == {False}


def test_any_checkpoint_is_held_in_4_bits_on_demand(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = logits(load(tiny_folder))
    with caplog.at_level("INFO", "unmask.models.registry"):
        loaded = load(tiny_folder, quantization="int4")
    assert "linear weights: float32, held in int4, 0.00 GiB" in caplog.messages
    assert are_in_four_bits(loaded) == {True}
    loss = (logits(loaded) - expected).norm() / expected.norm()
    assert 0.01 < loss < 0.4  # of random weights, which are the worst there are


def test_experts_stay_as_they_are_stored(tmp_path: Path) -> None:
    load_golden("sdar_moe", tmp_path)  # writes it
    layer = load(tmp_path, quantization="int4").model._layers[-1]
    assert isinstance(layer.qkv.packed, FourBitProduct)
    assert layer.mlp.experts.stacked.gate_up.dtype is torch.float32


def test_without_kernels_4_bits_are_refused_and_8_named(tiny_folder: Path) -> None:
    with backend("auto"), pytest.raises(InvalidCheckpoint, match="--quantization int8"):
        load(tiny_folder, quantization="int4", device="cpu")


@pytest.mark.exhaustive
def test_a_request_gets_the_same_tokens_in_any_company(tiny_folder: Path, tmp_path: Path) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS["awq"])
    loaded = load(tmp_path, dtype="bfloat16")
    assert_same_in_company(loaded, plain_requests(2, max_tokens=4, block_length=4, steps=2))
