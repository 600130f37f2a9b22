"""Sources of the mask token."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import MASK_ID, byte_tokenizer, write_checkpoint
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import load_model


def mask_of(folder: Path, edit: Callable[[Any], None], flag: int | None = None) -> int | None:
    """Mask of the golden SDAR checkpoint without `mask_token_id` in its `config.json`."""
    write_checkpoint(folder)
    raw = json.loads((folder / "config.json").read_text())
    del raw["mask_token_id"]
    (folder / "config.json").write_text(json.dumps(raw))
    tokenizer = byte_tokenizer()
    edit(tokenizer)
    tokenizer.save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=flag)
    return load_model(config, DecodingConfig()).info.mask_token_id


def forget_the_mask(tokenizer: Any) -> None:
    tokenizer.mask_token = None


def test_a_mask_that_config_json_does_not_name_is_the_tokenizers(tmp_path: Path) -> None:
    assert mask_of(tmp_path, lambda tokenizer: None) == MASK_ID


def test_a_flag_comes_before_the_tokenizer(tmp_path: Path) -> None:
    assert mask_of(tmp_path, lambda tokenizer: None, flag=300) == 300


def test_a_mask_that_nothing_names_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="--mask-token-id"):
        mask_of(tmp_path, forget_the_mask)
