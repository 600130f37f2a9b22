"""One forward pass over a half-masked canvas, against that of each family's reference code."""

from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import BLOCK_LENGTHS, FOLDERS
from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel

Load = Callable[[str], LoadedModel]


@pytest.mark.parametrize("folder", FOLDERS)
def test_logits_of_one_forward_are_those_of_the_reference(golden_model: Load, folder: str) -> None:
    golden = load_file(GOLDEN / folder / "forward.safetensors")
    ids = golden["input_ids"].flatten()
    num_tokens, block_len = len(ids), BLOCK_LENGTHS.get(folder)
    horizons = full(num_tokens) if block_len is None else block_causal(num_tokens, block_len)
    logits = logits_of(golden_model(folder), ids, horizons)
    expected = golden["logits"].view_as(logits)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
