"""LLaDA2.2: logits against LLaDA2.1's published code with a port of its router, and its blocks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.checkpoints import load_random
from tests.support.forward import PAGE_SIZE, block_causal, logits_of
from tests.support.levenshtein_reference import Rows, decode
from tests.support.moe_reference import llada2, llada2_shapes
from tests.support.tiny import GOLDEN, save_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.llada2 import FAMILY
from unmask.models.registry import LoadedModel, load_model
from unmask_kernels.dispatch import backend

FOLDER = GOLDEN / "llada22"
RAW = json.loads((FOLDER / "config.json").read_text())
CASES = json.loads((FOLDER / "golden.json").read_text())
COMMANDS = {"delete_token_id": None, "split_token_id": None}


def load(folder: Path, **overrides: object) -> LoadedModel:
    """Golden checkpoint without its commands, which the engine does not carry out yet."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, folder / name)
    save_tokenizer(folder)
    config = ModelConfig(
        path=str(folder),
        dtype="float32",
        mask_token_id=CASES["mask_token_id"],
        hf_overrides=json.dumps(COMMANDS | overrides),
    )
    return load_model(config, DecodingConfig())


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
    raw = {name: value for name, value in RAW.items() if name not in COMMANDS}
    model, _ = load_random(raw, llada2_shapes(raw), tmp_path, dtype, device="cpu")
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
    raw = {name: value for name, value in RAW.items() if name not in COMMANDS}
    model, weights = load_random(raw, llada2_shapes(raw), tmp_path)
    ids = torch.randint(0, 500, (71,), generator=torch.Generator().manual_seed(1))
    expected = llada2(raw, weights, ids)
    assert spread(logits_of(model, ids, block_causal(71, 32)), expected) < 1e-4


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_the_authors_loop_over_this_model_gives_the_recorded_answer(
    loaded: LoadedModel, case: dict
) -> None:
    """The engine does not edit by commands yet; the loop calls the model alone."""
    settings = dict(case["settings"])
    length = settings.pop("gen_length")
    for name in ("block_length", "policy"):
        settings.pop(name)

    def rows_of(token_ids: list[int]) -> Rows:
        ids = torch.tensor(token_ids)
        rows: Rows = logits_of(loaded, ids, block_causal(len(ids), 32)).tolist()
        return rows

    ids = CASES["mask_token_id"], RAW["delete_token_id"], RAW["split_token_id"]
    answer = decode(rows_of, case["prompt"], length, ids, **settings)
    assert (answer.tokens, answer.forwards) == (case["tokens"], case["forwards"])
    assert answer.commands > 0


@pytest.mark.parametrize("capacity", [2, 11, -1, 2.5])
def test_a_capacity_that_cannot_be_is_refused_by_name(capacity: float, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="expert_capacity"):
        load(tmp_path, expert_capacity=capacity)


def test_commands_are_refused_by_name_as_long_as_nothing_carries_them_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"delete_token_id: 508.*split_token_id: 509"):
        load(tmp_path, delete_token_id=508, split_token_id=509)


def test_its_decoding_defaults_are_those_of_its_authors(loaded: LoadedModel) -> None:
    sampling = loaded.info.default_sampling
    assert (sampling.threshold, sampling.editing_threshold) == (0.5, 0.0)
    assert FAMILY.traits(RAW).block_length == 32
