"""Nemotron-Labs-Diffusion against recorded logits of Ministral 3 with the authors' masks."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.checkpoints import load, load_golden
from tests.support.forward import PAGE_SIZE, logits_of
from tests.support.tiny import GOLDEN
from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import check_fields
from unmask.models.config_values import check_values
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.lora import read_lora
from unmask.models.nemotron import FIELDS, traits
from unmask.models.registry import LoadedModel
from unmask.models.rope import stretched_positions
from unmask_kernels.dispatch import backend

FOLDER = GOLDEN / "nemotron"
ADAPTER = "linear_spec_lora"
PREFIX = 100  # causal positions, three times the original context; the open block follows
CONFIG: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
ROPE = CONFIG["rope_parameters"]
O_PROJ = [f"encoder.layers.{i}.self_attn.o_proj" for i in range(2)]
# Fields by which the published sizes differ, of base and instruct models.
SIZES: dict[str, dict[str, Any]] = {
    "3B": {"hidden_size": 3072, "num_hidden_layers": 26, "intermediate_size": 9216},
    "8B": {"hidden_size": 4096, "num_hidden_layers": 34, "intermediate_size": 14336},
    "14B": {"hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size": 16384},
}
CONTEXTS = {"base": (4096, 0.25), "instruct": (262144, 16.0)}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "reference.safetensors")


def causal(num_tokens: int) -> np.ndarray:
    return np.arange(1, num_tokens + 1)


def open_block(num_tokens: int) -> np.ndarray:
    """Horizons [T]: causal up to `PREFIX`, then to the end."""
    horizons = causal(num_tokens)
    horizons[PREFIX:] = num_tokens
    return horizons


def assert_close(logits: Tensor, expected: Tensor) -> None:
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def assert_golden(loaded: LoadedModel, golden: dict[str, Tensor]) -> None:
    """Both kinds of rows; a block and its prefix share a pass."""
    ids = golden["input_ids"]
    logits = logits_of(loaded, ids, causal(len(ids)), golden["causal_rows"])
    assert_close(logits, golden["causal_logits"])
    assert_close(logits_of(loaded, ids, open_block(len(ids)))[PREFIX:], golden["open_logits"])


def test_logits_are_those_of_the_reference(golden: dict[str, Tensor], tmp_path: Path) -> None:
    assert_golden(load_golden("nemotron", tmp_path), golden)


def test_they_are_the_same_without_a_compiler(golden: dict[str, Tensor], tmp_path: Path) -> None:
    with backend("torch"):
        assert_golden(load_golden("nemotron", tmp_path), golden)


@pytest.mark.parametrize("rope", [{"llama_4_scaling_beta": None}, {"factor": 1.0}])
def test_positions_beyond_the_original_context_are_scaled(
    rope: dict[str, Any], golden: dict[str, Tensor], tmp_path: Path
) -> None:
    """Without either scaling the same rows differ, and only they."""
    shutil.copy(FOLDER / "model.safetensors", tmp_path)
    raw = CONFIG | {"rope_parameters": ROPE | rope}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    ids, rows, expected = (golden[n] for n in ("input_ids", "causal_rows", "causal_logits"))
    logits = logits_of(load(tmp_path), ids, causal(len(ids)), rows)
    differs = (logits - expected).abs().amax(1) > 1e-2
    assert differs[rows >= ROPE["original_max_position_embeddings"]].all()
    if "factor" not in rope:
        assert_close(logits[rows < 32], expected[rows < 32])


def test_a_draft_is_that_of_the_reference_with_the_adapter(
    golden: dict[str, Tensor], tmp_path: Path
) -> None:
    """The prefix without the adapter, then the block by weights that it is merged into."""
    device, (plain, merged) = torch.device("cpu"), (tmp_path / name for name in ("plain", "merged"))
    pairs = read_lora(FOLDER / ADAPTER, "o_proj", O_PROJ, (32, 64), torch.float32, device)
    tensors = load_file(FOLDER / "model.safetensors")
    for name, pair in zip(O_PROJ, pairs, strict=True):
        tensors[f"{name}.weight"] += pair(torch.eye(64)).T
    for folder in (plain, merged):
        folder.mkdir()
    save_file(tensors, merged / "model.safetensors")
    shutil.copy(FOLDER / "config.json", merged)
    models = load_golden("nemotron", plain, device="cpu"), load(merged, device="cpu")
    ids = golden["input_ids"]
    num_pages = -(-len(ids) // PAGE_SIZE)
    layers = models[0].model.layers
    cache = KVCache.empty(layers, num_pages, PAGE_SIZE, torch.float32, device)
    pages, horizons = np.arange(num_pages), open_block(len(ids))
    for loaded, rows in zip(models, (slice(PREFIX), slice(PREFIX, len(ids))), strict=True):
        starts, ends = [0, len(ids[rows])], [0, num_pages]
        plans = plan_layers(
            *(layers, starts, horizons[rows], pages, ends, PAGE_SIZE),
            device=device,
            dtype=torch.float32,
        )
        positions = torch.arange(len(ids))[rows]
        hidden = loaded.model.forward(ForwardInputs(ids[rows], positions, positions, plans, cache))
    logits = models[1].model.lm_head(models[1].model.final_norm(hidden))
    assert_close(logits, golden["draft_logits"])
    assert (logits - golden["open_logits"]).abs().max() > 0.1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", CONTEXTS)
def test_published_configurations_are_read(size: str, kind: str) -> None:
    positions, factor = CONTEXTS[kind]
    rope = ROPE | {"factor": factor, "original_max_position_embeddings": 16384}
    raw = CONFIG | SIZES[size] | {"rope_parameters": rope, "max_position_embeddings": positions}
    raw |= {"block_size": 32, "head_dim": 128, "vocab_size": 131072, "mask_token_id": 100}
    check_fields(raw, FIELDS)
    check_values(raw)
    assert stretched_positions(raw) == positions
    assert traits(raw).block_length == 32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"sliding_window": 4096}, "sliding_window"),
        ({"dlm_type": "dream"}, "dlm_type"),
        ({"dlm_paradigm": "autoregressive"}, "dlm_paradigm"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
        ({"rope_parameters": {**ROPE, "long_factor": [1.0]}}, "rope_parameters.long_factor"),
        (
            {"rope_parameters": {"rope_theta": 1e6, "llama_4_scaling_beta": 0.1}},
            "llama_4_scaling_beta needs original_max_position_embeddings",
        ),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    shutil.copy(FOLDER / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | fields))
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path)


def test_no_other_family_ignores_the_query_scale(tmp_path: Path) -> None:
    raw = json.loads((GOLDEN / "sdar" / "config.json").read_text())
    rope = {"rope_type": "default", "rope_theta": 1e6, "llama_4_scaling_beta": 0.1}
    (tmp_path / "config.json").write_text(json.dumps(raw | {"rope_scaling": rope}))
    shutil.copy(GOLDEN / "sdar" / "model.safetensors", tmp_path)
    with pytest.raises(InvalidCheckpoint, match="llama_4_scaling_beta"):
        load(tmp_path)


def test_a_head_that_is_not_there_is_missed(tmp_path: Path) -> None:
    tensors = load_file(FOLDER / "model.safetensors")
    del tensors["diffusion_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    raw = {name: value for name, value in CONFIG.items() if name != "tie_word_embeddings"}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(InvalidCheckpoint, match=r"missing diffusion_head\.weight"):
        load(tmp_path)
