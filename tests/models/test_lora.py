"""LoRA adapters are read as PEFT means them, or refused by name."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN
from unmask.errors import InvalidCheckpoint
from unmask.models.lora import LowRank, read_lora

ADAPTER = GOLDEN / "nemotron" / "linear_spec_lora"
NAMES = [f"encoder.layers.{i}.self_attn.o_proj" for i in range(2)]
SHAPE = 32, 64
A_NAME = f"base_model.model.{NAMES[0]}.lora_A.weight"


def read(folder: Path, dtype: torch.dtype = torch.float32) -> list[LowRank]:
    return read_lora(folder, "o_proj", NAMES, SHAPE, dtype, torch.device("cpu"))


def write(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **fields: Any) -> Path:
    """The golden adapter with changed fields, or with other tensors."""
    raw = json.loads((ADAPTER / "adapter_config.json").read_text()) | fields
    (folder / "adapter_config.json").write_text(json.dumps(raw))
    if tensors is None:
        shutil.copy(ADAPTER / "adapter_model.safetensors", folder)
    else:
        save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_get_the_scaled_product_of_both_matrices(dtype: torch.dtype) -> None:
    stored = load_file(ADAPTER / "adapter_model.safetensors")
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    for name, pair in zip(NAMES, read(ADAPTER, dtype), strict=True):
        a, b = (stored[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
        expected = 16 / 4 * x.float() @ a.T @ b.T
        assert pair(x).dtype is dtype
        assert pair.scale == 4.0
        rounding = 1e-5 if dtype is torch.float32 else 3e-2
        assert (pair(x).float() - expected).abs().max() < rounding * expected.abs().max()


def test_a_rank_stabilised_adapter_is_scaled_by_the_root_of_its_rank(tmp_path: Path) -> None:
    assert read(write(tmp_path, use_rslora=True))[0].scale == pytest.approx(16 / math.sqrt(4))


def test_a_target_may_be_a_name_instead_of_a_list(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, target_modules="o_proj"))) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_dora": True}, "adapter_config.json has fields .* use_dora: true"),
        ({"bias": "all"}, "bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"modules_to_save": ["diffusion_head"]}, "modules_to_save"),
        ({"rank_pattern": {"o_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"o_proj": 8}}, "alpha_pattern"),
        ({"layers_to_transform": [0]}, "layers_to_transform"),
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"a_new_field": 1}, "a_new_field"),
        ({"target_modules": ["o_proj", "q_proj"]}, "only o_proj can be adapted"),
        ({"target_modules": None}, "only o_proj can be adapted"),
        ({"r": 0}, "r must be from 1"),
        ({"r": True}, "r must be from 1"),
        ({"r": 8}, r"lora_A\.weight is \(4, 64\), expected \(8, 64\)"),
        ({"lora_alpha": "16"}, "lora_alpha must be above 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be above 0"),
    ],
)
def test_an_adapter_of_another_kind_is_refused_by_name(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        read(write(tmp_path, **fields))


def test_a_missing_and_an_unexpected_tensor_are_both_named(tmp_path: Path) -> None:
    tensors = load_file(ADAPTER / "adapter_model.safetensors")
    tensors["base_model.model.encoder.layers.9.self_attn.o_proj.lora_A.weight"] = tensors.pop(
        A_NAME
    )
    with pytest.raises(InvalidCheckpoint, match=r"missing .*layers\.0.*unexpected .*layers\.9"):
        read(write(tmp_path, tensors))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"there is no adapter_config\.json"):
        read(tmp_path)
    for text in ("[1]", "{", "\xff"):
        (tmp_path / "adapter_config.json").write_text(text, encoding="latin-1")
        with pytest.raises(InvalidCheckpoint, match=r"adapter_config\.json"):
            read(tmp_path)
