"""W8A8 in e4m3, emulated on a CPU: accuracy of whole families, and batch invariance."""

from pathlib import Path

import pytest
import torch

from tests.support.compressing import compress
from tests.support.engines import assert_same_in_company, plain_requests
from tests.support.forward import block_causal, logits_of
from tests.support.tiny import GOLDEN
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask_kernels.dispatch import backend
from unmask_kernels.linear.padding import row_unit
from unmask_kernels.quantization.ops import emulated_w8a8

# Norms of errors of logits over that of the logits: e4m3 keeps 4 bits of a number, so each of two
# layers' products loses some 4% of either factor.
LARGEST_LOSS, OVER_WEIGHT_ONLY = 0.13, 1.6


def load(folder: Path, quantization: str) -> LoadedModel:
    config = ModelConfig(path=str(folder), dtype="float32", quantization=quantization)
    return load_model(config, DecodingConfig())


def logits(loaded: LoadedModel) -> torch.Tensor:
    ids = torch.arange(40) * 11 % (loaded.info.vocab_size - 20)
    return logits_of(loaded, ids, block_causal(40, 4))


@pytest.mark.parametrize("name", ["sdar", "llada", "dream", "fast_dllm"])
def test_a_family_s_logits_lose_little_more_than_by_weights_alone(name: str) -> None:
    whole = logits(load(GOLDEN / name, "none"))
    loaded = load(GOLDEN / name, "fp8")

    def loss(logits_8bit: torch.Tensor) -> float:
        return float((logits_8bit - whole).norm() / whole.norm())

    weight_only = loss(logits(loaded))
    with emulated_w8a8():
        both = loss(logits(loaded))
    assert weight_only < both < min(LARGEST_LOSS, OVER_WEIGHT_ONLY * weight_only)


@pytest.mark.parametrize("block", [(128, 128), (32, 128)])
def test_blocks_are_held_as_stored_where_products_use_them(
    tiny_folder: Path, tmp_path: Path, block: tuple[int, int]
) -> None:
    config = {"quant_method": "fp8", "weight_block_size": list(block)}
    compress(
        tiny_folder, tmp_path, config, torch.float8_e4m3fn, block, scale_name="weight_scale_inv"
    )
    whole = load(tmp_path, "none")
    with emulated_w8a8():
        held = load(tmp_path, "auto")
        logits_8bit = logits(held)
    assert held.model._layers[0].mlp.down.takes_groups
    assert not load(tmp_path, "auto").model._layers[0].mlp.down.takes_quantized_rows
    loss = float((logits_8bit - logits(whole)).norm() / logits(whole).norm())
    assert 0 < loss < LARGEST_LOSS


def test_only_models_of_our_own_products_alone_have_steps_of_64_rows(tiny_folder: Path) -> None:
    gpu = torch.device("cuda")
    with backend("triton"):
        layers = load(tiny_folder, "fp8").model._layers
        assert all(layer.is_invariant for layer in layers)
        assert not any(layer.is_invariant for layer in load(tiny_folder, "none").model._layers)
        assert not any(layer.is_invariant for layer in load(tiny_folder, "int8").model._layers)
    assert row_unit(gpu, is_invariant=True) == 64
    assert row_unit(gpu, is_invariant=False) == 128
    assert row_unit(torch.device("cpu"), is_invariant=True) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_request_gets_the_same_tokens_in_any_company(tiny_folder: Path, dtype: str) -> None:
    config = ModelConfig(path=str(tiny_folder), dtype=dtype, quantization="fp8")
    loaded = load_model(config, DecodingConfig())
    with emulated_w8a8():
        assert_same_in_company(loaded, plain_requests(6, max_tokens=24))
