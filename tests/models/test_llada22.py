"""LLaDA2.2: logits against LLaDA2.1's published code with a port of its router, and its blocks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.checkpoints import draw_weights, load_random
from tests.support.engines import make_engine
from tests.support.forward import PAGE_SIZE, block_causal, logits_of
from tests.support.moe_reference import llada2, llada2_shapes
from tests.support.tiny import GOLDEN, byte_tokenizer, save_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel, load_model
from unmask_kernels.dispatch import backend

FOLDER = GOLDEN / "llada22"
RAW = json.loads((FOLDER / "config.json").read_text())
CASES = json.loads((FOLDER / "golden.json").read_text())
COMMANDS = {"delete_token_id": None, "split_token_id": None}


def load(folder: Path, decoding: DecodingConfig | None = None, **overrides: object) -> LoadedModel:
    """Golden checkpoint with other fields; those of None count as missing."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, folder / name)
    save_tokenizer(folder)
    config = ModelConfig(
        path=str(folder),
        dtype="float32",
        mask_token_id=CASES["mask_token_id"],
        hf_overrides=json.dumps(overrides) if overrides else None,
    )
    return load_model(config, decoding or DecodingConfig())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(tmp_path_factory.mktemp("llada22"))


@pytest.fixture(scope="module")
def golden() -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [T] and the reference's logits [T, V]."""
    forward = load_file(FOLDER / "forward.safetensors")
    return forward["input_ids"].flatten(), forward["logits"]


def spread(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, as a part of the largest logit."""
    return float((logits - expected).abs().max() / expected.abs().max())


def test_logits_of_one_forward_are_those_of_the_reference(
    loaded: LoadedModel, golden: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ids, expected = golden
    assert spread(logits_of(loaded, ids, block_causal(len(ids), 32)), expected) < 1e-4


def test_they_are_the_same_without_a_compiler(
    golden: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    ids, expected = golden
    with backend("torch"):
        assert spread(logits_of(load(tmp_path), ids, block_causal(len(ids), 32)), expected) < 1e-4


def test_the_router_of_llada21_has_other_logits(
    golden: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    ids, expected = golden
    grouped = load(tmp_path, expert_capacity=None)
    assert spread(logits_of(grouped, ids, block_causal(len(ids), 32)), expected) > 0.1


def test_rows_that_are_wanted_are_those_of_all_rows(
    loaded: LoadedModel, golden: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """Rows that are not wanted have a say in the experts of the last layer."""
    ids, horizons = golden[0], block_causal(64, 32)
    whole = logits_of(loaded, ids, horizons)
    for wanted in (torch.tensor([5, 2, 40]), torch.tensor([63]), torch.empty(0).long()):
        logits = logits_of(loaded, ids, horizons, wanted)
        assert torch.allclose(logits, whole[wanted], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sequences_of_a_step_have_the_bits_that_each_has_alone(dtype: str, tmp_path: Path) -> None:
    """A prompt, an open block in the middle of an answer, and a last block that is short."""
    model, _ = load_random(RAW, llada2_shapes(RAW), tmp_path, dtype, device="cpu")
    generator = torch.Generator().manual_seed(3)
    ranges = [(0, 64), (0, 32), (0, 41)]
    tokens = [torch.randint(0, 500, (end,), generator=generator) for _, end in ranges]
    alone = [logits_of(model, ids, block_causal(len(ids), 32)) for ids in tokens]
    together = packed(model, tokens)
    for own, of_all in zip(alone, together, strict=True):
        assert torch.equal(own, of_all)
    first = logits_of(model, tokens[0][:32], block_causal(32, 32))
    assert torch.equal(first, alone[0][:32])


def packed(loaded: LoadedModel, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
    """Logits of sequences in one step."""
    lengths = [len(ids) for ids in tokens]
    num_pages = [-(-length // PAGE_SIZE) for length in lengths]
    starts, page_starts = (np.append(0, np.cumsum(counts)) for counts in (lengths, num_pages))
    horizons = np.concatenate([block_causal(length, 32) for length in lengths])
    plans = plan_layers(
        loaded.model.layers,
        starts,
        horizons,
        np.arange(page_starts[-1]),
        page_starts,
        PAGE_SIZE,
        device=loaded.device,
        dtype=loaded.dtype,
    )
    cache = KVCache.empty(
        loaded.model.layers, int(page_starts[-1]), PAGE_SIZE, loaded.dtype, loaded.device
    )
    positions = [torch.arange(length) for length in lengths]
    pairs = zip(positions, page_starts[:-1], strict=True)
    slots = torch.cat([own + int(first) * PAGE_SIZE for own, first in pairs])
    step = ForwardInputs(torch.cat(tokens), torch.cat(positions), slots, plans, cache)
    hidden = loaded.model.forward(step)
    logits = loaded.model.lm_head(loaded.model.final_norm(hidden))
    return list(logits.split(lengths))


def test_a_short_last_block_agrees_with_a_second_implementation(
    loaded: LoadedModel, tmp_path: Path
) -> None:
    model, weights = load_random(RAW, llada2_shapes(RAW), tmp_path)
    ids = torch.randint(0, 500, (71,), generator=torch.Generator().manual_seed(1))
    expected = llada2(RAW, weights, ids)
    assert spread(logits_of(model, ids, block_causal(71, 32)), expected) < 1e-4


@pytest.mark.parametrize("capacity", [2, 11, -1, 2.5])
def test_a_capacity_that_cannot_be_is_refused_by_name(capacity: float, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="expert_capacity"):
        load(tmp_path, expert_capacity=capacity)


@pytest.mark.parametrize(
    "commands",
    [
        {"delete_token_id": None},
        {"split_token_id": None},
        {"split_token_id": 508},
        {"split_token_id": 512},
        {"delete_token_id": -1},
        {"delete_token_id": 5.0},
        {"delete_token_id": True},
    ],
)
def test_commands_that_are_no_two_tokens_are_refused_by_name(
    commands: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"delete_token_id .*split_token_id"):
        load(tmp_path, **commands)


@pytest.mark.parametrize("command", ["delete_token_id", "split_token_id"])
def test_a_command_that_is_the_mask_token_is_refused(command: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="mask token 511 is a command"):
        load(tmp_path, **{command: 511})


def test_a_router_by_block_without_commands_edits_by_replacing_only(tmp_path: Path) -> None:
    info = load(tmp_path, **COMMANDS).info
    assert info.routing_block_length == 32
    assert info.edit_commands is None
    assert info.default_sampling.editing_threshold is None


def test_commands_that_the_tokenizer_has_no_text_for_are_generated(tmp_path: Path) -> None:
    """Published ones come after the tokenizer's last id, where all other ids are padding."""
    raw = RAW | {"vocab_size": 640, "delete_token_id": 530, "split_token_id": 531}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    save_file(draw_weights(llada2_shapes(raw)), tmp_path / "model.safetensors")
    byte_tokenizer().save_pretrained(tmp_path)
    loaded = load_model(
        ModelConfig(str(tmp_path), dtype="float32", mask_token_id=511), DecodingConfig()
    )
    assert loaded.info.vocab_size == 532
    assert loaded.model.lm_head(torch.ones(1, raw["hidden_size"])).shape == (1, 532)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"block_length": 16}, "block_length"),
        ({"block_length": "auto"}, "block_length"),
        ({"cache": "block"}, "cache"),
        ({"temperature": 0.5}, "temperature"),
        ({"policy": "margin"}, "policy"),
        ({"eos_last": True}, "eos_last"),
        ({"sub_block_length": 8}, "sub_block_length"),
    ],
)
def test_settings_that_every_request_would_be_refused_for_are_refused_at_start(
    settings: dict[str, object], field: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match=rf"decoding\.{field}"):
        load(tmp_path, decoding=DecodingConfig(**settings))


@pytest.mark.parametrize("settings", [{"temperature": 0.5}, {"policy": "margin"}])
def test_settings_of_decoding_without_edits_are_those_of_any_model(
    settings: dict[str, object], tmp_path: Path
) -> None:
    sampling = load(
        tmp_path, decoding=DecodingConfig(preset="plain", **settings)
    ).info.default_sampling
    assert {name: getattr(sampling, name) for name in settings} == settings


@pytest.mark.parametrize("page_size", [16, 48])
def test_pages_that_cut_routing_blocks_are_refused_at_start(
    loaded: LoadedModel, page_size: int
) -> None:
    with pytest.raises(InvalidConfig, match=rf"page_size must be a multiple of 32.*{page_size}"):
        make_engine(loaded, page_size=page_size)
