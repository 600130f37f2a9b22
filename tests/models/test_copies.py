"""Tensors that a checkpoint stores twice are compared in all of their parts."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.compressing import compress
from tests.support.packing import PACKINGS, pack_checkpoint
from unmask.models.copies import are_copies
from unmask.models.quantized import join_quantized
from unmask.models.shards import open_shards

Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"


@pytest.mark.parametrize("name", ["awq", "gptq", "int4 group", "nvfp4", "mxfp4"])
def test_a_matrix_in_few_bits_is_a_copy_of_the_whole_one(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    whole = open_shards(tiny_folder)
    packed = join_quantized(open_shards(tmp_path), PACKINGS[name].config)
    q, k = f"{Q}.weight", f"{K}.weight"
    assert are_copies(packed[q], whole[q])
    assert are_copies(whole[q], packed[q])
    assert not are_copies(packed[q], whole[k])
    assert not are_copies(packed[q], whole["lm_head.weight"])


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_a_matrix_in_8_bits_is_a_copy_of_the_whole_one(
    tiny_folder: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    config = {"quant_method": "compressed-tensors"}
    compress(tiny_folder, tmp_path, config, dtype, (1, 10**9))
    whole = open_shards(tiny_folder)
    packed = join_quantized(open_shards(tmp_path), config)
    assert are_copies(packed[f"{Q}.weight"], whole[f"{Q}.weight"])
    assert not are_copies(whole[f"{K}.weight"], packed[f"{Q}.weight"])


@pytest.mark.parametrize("part", ["qweight", "scales", "qzeros"])
def test_every_part_of_packed_tensors_counts(tiny_folder: Path, tmp_path: Path, part: str) -> None:
    joined = []
    for shift in (0, 1):
        folder = tmp_path / str(shift)
        pack_checkpoint(tiny_folder, folder, PACKINGS["awq"])
        tensors = load_file(folder / "model.safetensors")
        tensors[f"{Q}.{part}"] += shift
        save_file(tensors, folder / "model.safetensors")
        joined.append(join_quantized(open_shards(folder), PACKINGS["awq"].config))
    one, other = joined
    assert are_copies(one[f"{K}.weight"], other[f"{K}.weight"])
    assert not are_copies(one[f"{Q}.weight"], other[f"{Q}.weight"])
    assert not are_copies(one[f"{Q}.weight"], one["lm_head.weight"])
