"""I-DLM and WeDLM: logits of causal passes over clean rows and masks, against reference code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.forward import PAGE_SIZE, causal, logits_of
from tests.support.tiny import GOLDEN
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.checkpoint import Checkpoint
from unmask.models.config_fields import check_fields
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.model_info import model_info
from unmask.models.registry import LoadedModel, family_of
from unmask.models.weights import Weights
from unmask.tokenizer import Tokenizer
from unmask_kernels.dispatch import backend

FOLDERS = ("idlm", "wedlm", "wedlm_bias")
CPU = torch.device("cpu")
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def load(folder: str) -> LoadedModel:
    """Golden checkpoint with its own tokenizer, for few positions."""
    checkpoint = Checkpoint.open(GOLDEN / folder)
    family, tokenizer = family_of(checkpoint), Tokenizer.from_folder(GOLDEN / folder)
    check_fields(checkpoint.config, family.fields)
    config = ModelConfig(str(GOLDEN / folder), dtype="float32")
    info = model_info(checkpoint, family, config, DecodingConfig(), tokenizer)
    weights = Weights.from_folder(GOLDEN / folder, torch.float32, CPU)
    return LoadedModel(
        family.build(checkpoint.config, weights, 128), tokenizer, info, torch.float32, CPU
    )


def recorded(folder: str) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Rows [T] of a pass, their positions [T] or None, and their logits [T, V]."""
    tensors = load_file(GOLDEN / folder / "reference.safetensors")
    return tensors["input_ids"], tensors.get("positions"), tensors["logits"]


def assert_close(logits: torch.Tensor, expected: torch.Tensor) -> None:
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@every_folder
@pytest.mark.parametrize("implementation", ["native", "torch"])
def test_logits_of_one_pass_are_those_of_the_reference(folder: str, implementation: str) -> None:
    ids, positions, expected = recorded(folder)
    if implementation == "torch":
        with backend("torch"):
            logits = logits_of(load(folder), ids, causal(len(ids)), positions=positions)
    else:
        logits = logits_of(load(folder), ids, causal(len(ids)), positions=positions)
    assert_close(logits, expected)


@every_folder
@pytest.mark.parametrize("cut", [1, 16, 19, 25])
def test_rows_that_are_kept_serve_the_rows_after_them(folder: str, cut: int) -> None:
    """The first rows of the pass are in the cache, as a prompt and a finished prefix are."""
    ids, positions, expected = recorded(folder)
    loaded, num_rows = load(folder), len(ids)
    slots = torch.arange(num_rows)
    positions = slots if positions is None else positions
    num_pages = -(-num_rows // PAGE_SIZE)
    cache = KVCache.empty(loaded.model.layers, num_pages, PAGE_SIZE, torch.float32, CPU)
    parts = []
    for start, end in ((0, cut), (cut, num_rows)):
        plans = plan_layers(
            loaded.model.layers,
            [0, end - start],
            causal(num_rows)[start:end],
            np.arange(num_pages),
            [0, num_pages],
            PAGE_SIZE,
            device=CPU,
            dtype=torch.float32,
        )
        rows = slice(start, end)
        step = ForwardInputs(ids[rows], positions[rows], slots[rows], plans, cache)
        parts.append(loaded.model.lm_head(loaded.model.final_norm(loaded.model.forward(step))))
    assert_close(torch.cat(parts), expected)


@pytest.mark.parametrize(
    ("folder", "attention", "block_length"),
    [("idlm", "causal", 4), ("wedlm", "causal_window", 16), ("wedlm_bias", "causal_window", 16)],
)
def test_traits_are_those_of_the_published_decoding(
    folder: str, attention: str, block_length: int
) -> None:
    info = load(folder).info
    assert (info.attention, info.shift) == (attention, False)
    assert info.default_sampling.block_length == block_length
    assert (info.mask_token_id, info.eos_token_ids[0]) == (511, 510)


@pytest.mark.parametrize(("masks", "stride"), [(None, 4), (1, 2), (3, 4), (7, 8)])
def test_a_stride_has_a_token_more_than_training_had_masks(
    masks: int | None, stride: int, tmp_path: Path
) -> None:
    opened = checkpoint(tmp_path, "idlm", block_size=masks)
    assert family_of(opened).traits(opened.config).block_length == stride


def checkpoint(folder: Path, source: str, **changes: Any) -> Checkpoint:
    """Golden `config.json` with changes."""
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | changes))
    return Checkpoint.open(folder)


@pytest.mark.parametrize(
    ("source", "changes", "family"),
    [
        ("idlm", {}, "idlm"),
        ("idlm", {"architectures": None}, "idlm"),
        ("idlm", {"use_regular_causal": False}, "sdar"),
        ("idlm", {"use_regular_causal": None}, "sdar"),
        ("sdar", {}, "sdar"),
        ("sdar", {"use_regular_causal": True}, "idlm"),
        ("sdar", {"use_regular_causal": True, "odd": 1}, "idlm"),
        ("sdar", {"odd": 1}, "sdar"),
        ("sdar_moe", {"use_regular_causal": True}, "sdar-moe"),
        ("wedlm", {}, "wedlm"),
        ("wedlm_bias", {"architectures": None}, "wedlm"),
    ],
)
def test_one_field_tells_both_families_of_an_architecture_apart(
    source: str, changes: dict[str, Any], family: str, tmp_path: Path
) -> None:
    assert family_of(checkpoint(tmp_path, source, **changes)).name == family


REFUSED = [
    ("idlm", {"use_relay": True}, "use_relay"),  # hidden states of the last pass added to masks
    ("idlm", {"use_regular_causal": 1}, "use_regular_causal: 1"),
    ("wedlm", {"wedlm_window_size": 16}, "wedlm_window_size"),
    ("wedlm", {"use_sliding_window": True}, "use_sliding_window"),
    ("wedlm", {"rope_scaling": {"type": "ntk", "odd": 2}}, r"rope_scaling\.odd"),
]


@pytest.mark.parametrize(("source", "changes", "message"), REFUSED)
def test_fields_that_are_not_served_are_refused_by_name(
    source: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    opened = checkpoint(tmp_path, source, **changes)
    with pytest.raises(InvalidCheckpoint, match=message):
        check_fields(opened.config, family_of(opened).fields)


@pytest.mark.parametrize(
    ("source", "changes"),
    [("wedlm", {"qk_norm": False}), ("wedlm", {"attention_bias": True}), ("wedlm_bias", {})],
)
def test_flags_must_fit_the_tensors(source: str, changes: dict[str, Any], tmp_path: Path) -> None:
    opened = checkpoint(tmp_path, source, **changes)
    weights = Weights.from_folder(GOLDEN / source, torch.float32, CPU)
    if not changes:
        opened.config.pop("attention_bias")  # on where the configuration has no such field
        family_of(opened).build(opened.config, weights, 16)
        return
    with pytest.raises(InvalidCheckpoint):
        family_of(opened).build(opened.config, weights, 16)
