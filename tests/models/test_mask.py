"""Sources of the mask token."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import GOLDEN, MASK_ID, byte_tokenizer, write_checkpoint
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import load_model


def mask_of(
    folder: Path,
    edit: Callable[[Any], None],
    flag: int | None = None,
    generation: dict[str, Any] | None = None,
    **fields: Any,
) -> int | None:
    """Mask of the golden SDAR checkpoint without `mask_token_id` in its `config.json`."""
    write_checkpoint(folder)
    raw = json.loads((folder / "config.json").read_text())
    del raw["mask_token_id"]
    (folder / "config.json").write_text(json.dumps(raw | fields))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
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


def test_a_mask_that_only_generation_config_names_is_taken(tmp_path: Path) -> None:
    generation = {"mask_token_id": 300}
    assert mask_of(tmp_path, lambda tokenizer: None, generation=generation) == 300
    assert mask_of(tmp_path, forget_the_mask, generation=generation) == 300
    with pytest.raises(InvalidCheckpoint, match="mask_token_id '300' is not a token id"):
        mask_of(tmp_path, forget_the_mask, generation={"mask_token_id": "300"})


def test_files_that_name_two_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"511 in config\.json and 300 in generation"):
        mask_of(tmp_path, forget_the_mask, generation={"mask_token_id": 300}, mask_token_id=511)


def test_the_tokenizer_s_mask_comes_before_the_family_s(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Stable-DiffCoder's is 5, where no file names one."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "stable_diffcoder" / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    config = ModelConfig(str(tmp_path), dtype="float32")
    assert load_model(config, DecodingConfig()).info.mask_token_id == MASK_ID
    assert "this family's is 5" in caplog.text
    tokenizer = byte_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path)
    assert load_model(config, DecodingConfig()).info.mask_token_id == 5


def test_an_added_token_that_may_be_the_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"the tokenizer has <\|mask\|> \(511\)"):
        mask_of(tmp_path, forget_the_mask)
