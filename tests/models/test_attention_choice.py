"""Attention that config.json does not say is chosen by a setting, and by nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.registry import load_model
from unmask.types import ModelInfo


def info(
    folder: Path,
    source: str,
    attention: AttentionName | None,
    decoding: DecodingConfig | None = None,
    **fields: Any,
) -> ModelInfo:
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / source / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(raw))
    shutil.copy(GOLDEN / source / "model.safetensors", folder)
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", attention=attention)
    return load_model(config, decoding or DecodingConfig()).info


@pytest.mark.parametrize("source", ["a2d_mdlm", "a2d_bd3lm", "a2d_llama"])
def test_a_checkpoint_that_does_not_say_its_attention_asks_for_it(
    source: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match="--attention full or --attention block"):
        info(tmp_path, source, None)


@pytest.mark.parametrize("source", ["a2d_mdlm", "a2d_bd3lm", "a2d_llama"])
@pytest.mark.parametrize(("named", "expected"), [("full", "full"), ("block", "block_causal")])
def test_either_attention_is_served(
    source: str, named: AttentionName, expected: str, tmp_path: Path
) -> None:
    model = info(tmp_path, source, named)
    assert (model.attention, model.shift, model.schedule) == (expected, False, "rounded")
    assert (model.block_length, model.mask_token_id) == (32, 511)


def test_block_lengths_by_load_need_blocks(tmp_path: Path) -> None:
    auto = DecodingConfig(block_length="auto")
    assert info(tmp_path, "a2d_bd3lm", "block", auto).adapts_blocks
    with pytest.raises(InvalidConfig, match="block-causal attention"):
        info(tmp_path, "a2d_bd3lm", "full", auto)


def test_a_mask_token_that_no_file_names_is_asked_for(tmp_path: Path) -> None:
    raw = json.loads((GOLDEN / "a2d_mdlm/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw))
    shutil.copy(GOLDEN / "a2d_mdlm/model.safetensors", tmp_path)
    tokenizer = byte_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InvalidCheckpoint, match="--mask-token-id"):
        load_model(ModelConfig(str(tmp_path), attention="full"), DecodingConfig())


@pytest.mark.parametrize(
    ("name", "block_size", "length"),
    [
        ("OPDLM-4B", None, 4),
        ("opdlm-0.6b", None, 4),
        ("OPDLM-4B", 8, 8),
        ("Qwen3-0.6B-diffusion-bd3lm-v0.1", None, 32),
        ("Qwen3-0.6B-diffusion-b16", None, 16),
    ],
)
def test_a_block_length_is_the_configuration_s_or_the_name_s(
    name: str, block_size: int | None, length: int, tmp_path: Path
) -> None:
    model = info(tmp_path / name, "a2d_mdlm", "block", block_size=block_size)
    assert model.block_length == length


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [("dream_reasoner", "block", "full"), ("illada", "full", "block"), ("sdar", "block", "full")],
)
def test_an_attention_that_is_known_cannot_be_another(
    source: str, right: AttentionName, wrong: AttentionName, tmp_path: Path
) -> None:
    assert info(tmp_path, source, right).attention == info(tmp_path, source, None).attention
    with pytest.raises(InvalidConfig, match=f"model.attention is {wrong}, but"):
        info(tmp_path, source, wrong)
