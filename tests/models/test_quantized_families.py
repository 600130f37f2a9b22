"""8-bit weights in every family with a tiny checkpoint."""

import gc
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN
from unmask.models.registry import FAMILIES, find_family
from unmask.models.weights import Weights
from unmask_kernels.linear.ops import Linear
from unmask_kernels.quantization.ops import quantize

KNOWN = {name for family in FAMILIES for name in family.architectures}
FOLDERS = [
    path.parent
    for path in sorted(GOLDEN.glob("*/config.json"))
    if json.loads(path.read_text())["architectures"][0] in KNOWN
]
FOLDED = ("bd3lm", "mdlm")  # with other weights as they are read, so they are widened
NAMES = ("qkv_proj", "query_key_value", "q_proj", "out_proj", "o_proj", "dense", "attn_out")


def build(folder: Path, **options: object) -> tuple[object, list[Linear]]:
    """Model and its 8-bit weights."""
    raw = json.loads((folder / "config.json").read_text())
    weights = Weights.from_folder(folder, torch.float32, torch.device("cpu"), **options)
    model = find_family(raw["architectures"][0]).build(raw, weights, 64)
    quantized, seen, open_ = [], set(), [model]
    while open_:
        thing = open_.pop()
        if id(thing) in seen or isinstance(thing, type | torch.Tensor | dict | str | int | float):
            continue
        seen.add(id(thing))
        if isinstance(thing, Linear):
            quantized += [thing] if thing.scales is not None else []
            continue
        open_ += [
            held
            for held in gc.get_referents(thing)
            if isinstance(held, list | tuple)
            or type(held).__module__.startswith(("unmask", "unmask_kernels"))
        ]
        open_ += list(getattr(thing, "__dict__", {}).values())
    return model, quantized


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_every_layer_of_a_family_is_held_in_8_bits(folder: Path, quantization: str) -> None:
    raw = json.loads((folder / "config.json").read_text())
    raw |= raw.get("text_config") or {}
    num_layers = raw.get("num_hidden_layers") or raw.get("n_layers") or raw["n_blocks"]
    _, quantized = build(folder, quantization=quantization)
    assert len(quantized) >= 2 * num_layers  # at least QKV and output projections
    assert build(folder)[1] == []


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_family_reads_its_weights_in_8_bits(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    stored = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        stored[name] = tensor
        module = name.removesuffix(".weight")
        if tensor.ndim == 2 and module.endswith(NAMES):
            quantized = quantize(tensor, "fp8")
            stored |= {name: quantized.values, f"{module}.weight_scale": quantized.scales[:, None]}
    assert len(stored) > len(load_file(folder / "model.safetensors"))
    save_file(stored, tmp_path / "model.safetensors")
    quantized = build(tmp_path, compression={"quant_method": "compressed-tensors"})[1]
    assert bool(quantized) != (folder.name in FOLDED)
