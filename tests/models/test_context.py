"""A context longer than the model's is refused with the way out, never clamped."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.tiny import GOLDEN
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidConfig
from unmask.models.registry import load_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, tmp_path)
    return tmp_path


def context(folder: Path, **config: object) -> int:
    loaded = load_model(ModelConfig(path=str(folder), dtype="float32", **config), DecodingConfig())
    return loaded.info.max_model_len


def test_a_longer_context_is_refused_with_the_way_out(folder: Path) -> None:
    trained = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    assert context(folder) == context(folder, max_model_len=trained) == trained
    assert context(folder, max_model_len=100) == 100
    with pytest.raises(InvalidConfig, match=f"is 999999, but the model's context is {trained}"):
        context(folder, max_model_len=999_999)


def test_the_way_out_is_one(folder: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        context(folder, max_model_len=9_999)
    overrides = str(caught.value).partition("--hf-overrides '")[2].partition("'")[0]
    assert context(folder, max_model_len=9_999, hf_overrides=overrides) == 9_999
