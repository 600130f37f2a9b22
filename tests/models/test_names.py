"""Families are recognised by architecture, else by other fields."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.checkpoint import Checkpoint
from unmask.models.registry import (
    LoadedModel,
    device_named,
    family_of,
    find_family,
    load_model,
)


def checkpoint(folder: Path, source: str, **changes: Any) -> Checkpoint:
    """Golden `config.json` with changes; None removes a field."""
    raw = json.loads((GOLDEN / source / "config.json").read_text()) | changes
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return Checkpoint.open(folder)


def load(folder: Path, source: str, **changes: Any) -> LoadedModel:
    checkpoint(folder, source, **changes)
    shutil.copy(GOLDEN / source / "model.safetensors", folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511)
    return load_model(config, DecodingConfig())


@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("sdar", "sdar"),
        ("sdar_moe", "sdar-moe"),
        ("llada2", "llada2"),
        ("llada", "llada"),
        ("llada_moe", "llada-moe"),
        ("dream", "dream"),
        ("dream_vl", "dream-vl"),
        ("fast_dllm", "fast-dllm"),
        ("fast_dvlm", "fast-dvlm"),
        ("idlm", "idlm"),
        ("wedlm", "wedlm"),
        ("dgemma", "diffusion-gemma"),
        ("sdar_vl", "sdar-vl"),
        ("llada_ui", "llada-ui"),
        ("llada_v", "llada-v"),
        ("nemotron_vlm", "nemotron-vlm"),
    ],
)
def test_a_folder_without_architectures_is_known_by_its_model_type(
    source: str, family: str, tmp_path: Path
) -> None:
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    model_type = raw.get("model_type") or source
    opened = checkpoint(tmp_path, source, architectures=None, model_type=model_type)
    assert family_of(opened).name == family
    assert family_of(checkpoint(tmp_path, source, architectures=[])).name == family


@pytest.mark.parametrize(
    ("name", "fields", "family"),
    [
        ("uno-qwen3-8B", {"use_regular_causal": None}, "idlm"),
        ("I-DLM-8B", {"use_regular_causal": None}, "idlm"),
        ("idlm_32b", {}, "idlm"),
        ("uno-qwen3-8B", {"use_regular_causal": False}, "sdar"),
        ("SDAR-8B-Chat", {"use_regular_causal": None}, "sdar"),
        ("unobtanium", {"use_regular_causal": None}, "sdar"),
    ],
)
def test_a_causal_checkpoint_that_does_not_say_so_is_known_by_its_name(
    name: str, fields: dict[str, Any], family: str, tmp_path: Path
) -> None:
    """The published class of I-DLM and UNO is causal by default."""
    (tmp_path / name).mkdir()
    assert family_of(checkpoint(tmp_path / name, "idlm", **fields)).name == family


def test_the_type_of_weights_may_have_torch_s_prefix(tmp_path: Path) -> None:
    load(tmp_path, "sdar")

    def dtype_of(name: str) -> torch.dtype:
        checkpoint(tmp_path, "sdar", torch_dtype=name)
        return load_model(ModelConfig(str(tmp_path)), DecodingConfig()).dtype

    assert dtype_of("torch.float16") is dtype_of("float16")


def test_fields_of_qwen_that_are_off_are_taken(tmp_path: Path) -> None:
    assert load(tmp_path, "dream", use_mrope=False).info.attention == "full"
    with pytest.raises(InvalidCheckpoint, match="use_mrope: true"):
        load(tmp_path, "dream", use_mrope=True)


def test_auto_map_comes_before_the_model_type(tmp_path: Path) -> None:
    mapped = {"AutoConfig": "configuration_llada.Config", "AutoModel": "x--y.m.LLaDAModelLM"}
    opened = checkpoint(tmp_path, "llada", architectures=None, auto_map=mapped, model_type="odd")
    assert family_of(opened).name == "llada"


def test_an_architecture_that_is_named_is_not_overruled(tmp_path: Path) -> None:
    opened = checkpoint(tmp_path, "sdar", architectures=["NovelModel"], model_type="sdar")
    with pytest.raises(InvalidCheckpoint, match="NovelModel is not supported; supported are SDAR"):
        family_of(opened)


def test_a_folder_that_says_nothing_is_refused(tmp_path: Path) -> None:
    opened = checkpoint(tmp_path, "sdar", architectures=None, model_type=None)
    with pytest.raises(InvalidCheckpoint, match="architecture none, model type None"):
        family_of(opened)


@pytest.mark.parametrize(
    "architecture", ["LlamaForCausalLM", "Qwen3ForCausalLM", "GPT2LMHeadModel", "Gemma3ForCausalLM"]
)
def test_a_class_of_autoregressive_models_is_called_one(architecture: str) -> None:
    """The checkpoint need not be one: ReFusion and Open-dCoder are published with such a class."""
    named = f"{architecture} is the class of an autoregressive model.*--hf-overrides"
    with pytest.raises(InvalidCheckpoint, match=named):
        find_family(architecture)


def test_llada_moe_base_is_served(tmp_path: Path) -> None:
    loaded = load(tmp_path, "llada_moe", architectures=["LLaDAMoEModel"])
    assert loaded.info.attention == "full"


def test_dream_reasoner_is_block_causal_with_its_own_block_and_mask(tmp_path: Path) -> None:
    changes = {"architectures": ["DreamForCausalLM"], "block_size": None, "model_type": "Dream"}
    info = load(tmp_path, "sdar", **changes).info
    assert (info.attention, info.shift) == ("block_causal", False)
    assert info.default_sampling.block_length == 32
    assert find_family("DreamForCausalLM").traits(changes).mask_token_id == 151669


def test_a_gpu_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(InvalidConfig, match=r"model\.device is cuda, but torch"):
        device_named("cuda", has_gpu=False)
    assert device_named("cuda", has_gpu=True) == torch.device("cuda")
    assert device_named("auto", has_gpu=False) == device_named("cpu", has_gpu=True)
