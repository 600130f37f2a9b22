"""Tensors that a checkpoint stores twice are compared in all of their parts."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.support.packing import PACKINGS, pack_checkpoint
from unmask.models.copies import are_copies
from unmask.models.quantized import join_quantized
from unmask.models.shards import open_shards

Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"


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
