"""One forward pass over half-masked tokens, against each family's reference code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import BLOCK_LENGTHS, load_golden
from tests.support.golden import FOLDERS as ALL
from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel
from unmask_kernels.dispatch import backend

Load = Callable[[str], LoadedModel]
# Causal passes are in tests of their own.
FOLDERS = [folder for folder in ALL if (GOLDEN / folder / "forward.safetensors").exists()]


def inputs(folder: str) -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
    """Token ids [T], their horizons [T], and the reference's logits [T, V].

    Without those of the mask, the last, where its probability is zero whatever its logit is.
    """
    golden = load_file(GOLDEN / folder / "forward.safetensors")
    ids = golden["input_ids"].flatten()
    num_tokens, block_len = len(ids), BLOCK_LENGTHS.get(folder)
    horizons = full(num_tokens) if block_len is None else block_causal(num_tokens, block_len)
    return ids, horizons, golden["logits"].view(num_tokens, -1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_logits_of_one_forward_are_those_of_the_reference(golden_model: Load, folder: str) -> None:
    ids, horizons, expected = inputs(folder)
    logits = logits_of(golden_model(folder), ids, horizons)[:, : expected.shape[1]]
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("folder", FOLDERS)
def test_they_are_the_same_without_a_compiler(folder: str, tmp_path: Path) -> None:
    ids, horizons, expected = inputs(folder)
    with backend("torch"):
        logits = logits_of(load_golden(folder, tmp_path), ids, horizons)[:, : expected.shape[1]]
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("folder", FOLDERS)
def test_rows_that_are_wanted_are_those_of_all_rows(golden_model: Load, folder: str) -> None:
    ids, horizons, _ = inputs(folder)
    loaded = golden_model(folder)
    whole = logits_of(loaded, ids, horizons)
    for wanted in (torch.tensor([5, 2, 11]), torch.arange(len(ids)), torch.tensor([7])):
        logits, expected = logits_of(loaded, ids, horizons, wanted), whole[wanted]
        if loaded.device.type == "cpu":
            assert torch.equal(logits, expected)
        # A GPU's library may sum a head's products of few rows in another order.
        assert (logits - expected).abs().max() < 1e-5 * expected.abs().max()
    assert len(logits_of(loaded, ids, horizons, torch.empty(0).long())) == 0
