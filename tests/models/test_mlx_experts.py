"""Stacks of experts, MLX's quantized ones too, are served with the weights that are meant."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.engines import make_engine, run_all
from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import BLOCK_LENGTHS
from tests.support.mlx import stack_with_mlx
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams

FOLDERS = ("llada2", "llada_moe", "llada_moe_options", "sdar_moe", "rnd1")


def load(folder: Path, **options: Any) -> LoadedModel:
    byte_tokenizer().save_pretrained(folder)
    path = GOLDEN / folder.name / "golden.json"
    mask = json.loads(path.read_text()).get("mask_token_id")
    options = {"dtype": "float32", "mask_token_id": mask, **options}
    return load_model(ModelConfig(path=str(folder), **options), DecodingConfig())


def logits(loaded: LoadedModel, name: str) -> Tensor:
    length = BLOCK_LENGTHS.get(name)
    horizons = full(40) if length is None else block_causal(40, length)
    return logits_of(loaded, torch.arange(40) * 11 % 500, horizons)


def meant_folder(name: str, meant: dict[str, Tensor], target: Path) -> Path:
    """The checkpoint with the weights that are meant, experts one by one."""
    (target / name).mkdir(parents=True)
    save_file(meant, target / name / "model.safetensors")
    (target / name / "config.json").write_bytes((GOLDEN / name / "config.json").read_bytes())
    return target / name


@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_the_weights_that_are_meant(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "mlx" / name
    meant = stack_with_mlx(GOLDEN / name, folder)
    expected = logits(load(meant_folder(name, meant, tmp_path / "whole")), name)
    assert any("switch_mlp.gate_proj.weight" in n for n in load_file(folder / "model.safetensors"))
    torch.testing.assert_close(logits(load(folder), name), expected, rtol=1e-4, atol=1e-4)
    plain = load(meant_folder(name, load_file(GOLDEN / name / "model.safetensors"), tmp_path / "p"))
    assert (logits(plain, name) - expected).abs().max() > 1e-3
    assert load(folder, quantization="int8").model.layers


def test_names_may_be_those_of_mlx_vlm(tmp_path: Path) -> None:
    """All begin with `language_model.`, also in the configuration."""
    folders = tmp_path / "lm" / "llada2", tmp_path / "vlm" / "llada2"
    for folder, wrapper in zip(folders, ("", "language_model."), strict=True):
        stack_with_mlx(GOLDEN / "llada2", folder, wrapper=wrapper)
    one, other = (logits(load(folder), "llada2") for folder in folders)
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        ("sdar_moe", "switch_mlp.{}.weight"),  # `mlx_lm.convert` without `-q`
        ("llada2", "experts.{}"),  # `moe_convertor.py --mode merge` of dFactory and DMax
    ],
)
def test_stacks_that_are_not_quantized_are_read(name: str, stack: str, tmp_path: Path) -> None:
    stored = load_file(GOLDEN / name / "model.safetensors")
    folder = meant_folder(name, stored, tmp_path / "one by one")
    expected = logits(load(folder), name)
    folder = meant_folder(name, stacked(stored, stack), tmp_path / "stacked")
    assert torch.equal(logits(load(folder), name), expected)


def stacked(stored: dict[str, Tensor], stack: str) -> dict[str, Tensor]:
    """Experts of each layer and kind in one tensor."""
    stacks: dict[str, dict[int, Tensor]] = {}
    for name in [name for name in stored if ".experts." in name]:
        head, _, tail = name.partition(".experts.")
        number, _, kind = tail.partition(".")
        whole = f"{head}.{stack.format(kind.removesuffix('.weight'))}"
        stacks.setdefault(whole, {})[int(number)] = stored.pop(name)
    for name, matrices in stacks.items():
        stored[name] = torch.stack([matrices[i] for i in range(len(matrices))])
    return stored


def test_stacks_of_diffusion_gemma_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "mlx" / "dgemma"
    meant = stack_with_mlx(GOLDEN / "dgemma", folder)
    whole = meant_folder("dgemma", meant, tmp_path / "whole")
    for target in (folder, whole):
        source = GOLDEN / "dgemma" / "generation_config.json"
        (target / source.name).write_bytes(source.read_bytes())
    sampling = SamplingParams(max_tokens=24, seed=1, ignore_eos=True)
    requests = [Request(f"r{i}", tuple(range(2, 20 + i)), sampling) for i in range(2)]
    answers = [run_all(make_engine(load(target)), requests) for target in (folder, whole)]
    for request in requests:
        one, other = (answer[request.request_id].essence for answer in answers)
        assert one == other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "missing model.layers.1.mlp.switch_mlp.up_proj.weight (16, 48, 128)"),
        ("both", "model.layers.1.mlp.experts.0.gate_proj.weight is in model.layers.1.mlp.switch"),
        ("bias", "unexpected model.layers.1.mlp.switch_mlp.gate_proj.bias"),
        ("factor", "unexpected model.layers.1.mlp.switch_mlp.gate_proj.global_scale"),
    ],
)
def test_stacks_that_do_not_fit_are_named(change: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "llada2"
    stack_with_mlx(GOLDEN / "llada2", folder)
    tensors = load_file(folder / "model.safetensors")
    mlp = "model.layers.1.mlp."
    if change == "missing":
        for last in ("weight", "scales", "biases"):
            del tensors[f"{mlp}switch_mlp.up_proj.{last}"]
    elif change == "both":
        tensors[f"{mlp}experts.0.gate_proj.weight"] = torch.zeros(48, 128)
    else:
        last = {"bias": "bias", "factor": "global_scale"}[change]
        tensors[f"{mlp}switch_mlp.gate_proj.{last}"] = torch.zeros(16)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InvalidCheckpoint) as refused:
        load(folder)
    assert message in str(refused.value)
