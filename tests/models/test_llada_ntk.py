"""LLaDA with NTK scaling of RoPE, as UltraLLaDA publishes it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.forward import logits_of
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model


def load(folder: Path, **fields: Any) -> LoadedModel:
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / "llada/config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "model.safetensors").symlink_to(GOLDEN / "llada/model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    return load_model(ModelConfig(str(folder), dtype="float32"), DecodingConfig())


@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_a_base_is_multiplied_by_the_factor_of_llada_s_ntk_scaling(
    key: str, tmp_path: Path
) -> None:
    """UltraLLaDA's; `rope_theta` may hold the product as well."""
    theta, scaling = 500_000.0, {key: "ntk", "factor": 31}
    scaled = load(tmp_path / "scaled", rope_theta=theta, rope_scaling=scaling)
    plain = load(tmp_path / "plain", rope_theta=31 * theta)
    ids, horizons = torch.arange(40), np.full(40, 40)
    assert torch.equal(logits_of(scaled, ids, horizons), logits_of(plain, ids, horizons))


@pytest.mark.parametrize(
    "scaling", [{"type": "ntk"}, {"factor": 31}, {"rope_type": "default", "factor": 2}]
)
def test_a_type_and_a_factor_belong_together(scaling: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"rope_scaling of type ntk and a factor"):
        load(tmp_path, rope_scaling=scaling)


def test_fields_that_change_nothing_are_taken(tmp_path: Path) -> None:
    neutral = {"rope_type": "default", "factor": 1.0, "attention_factor": 1.0}
    plain = load(tmp_path / "plain", rope_scaling=neutral | {"type": None})
    ids, horizons = torch.arange(40), np.full(40, 40)
    expected = logits_of(load(tmp_path / "none"), ids, horizons)
    assert torch.equal(logits_of(plain, ids, horizons), expected)
