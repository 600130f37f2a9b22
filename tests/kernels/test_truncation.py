"""Top-k and top-p: what is kept, and the same token from torch and from the kernel."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unmask_kernels.dispatch import backend
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.philox import gumbel_at, gumbel_noise
from unmask_kernels.scoring.gpu.truncation import draw_logits, rows_at_a_time
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.truncation import draw_likeliest, keep_likeliest
from unmask_kernels.scoring.types import FILTERS, Draws, Truncation

MASK = 11
# top-k, top-p, min-p
CUTS = [
    (1, 1.0, 0.0), (5, 1.0, 0.0), (10**6, 0.9, 0.0), (50, 0.7, 0.0), (3, 1e-30, 0.0),
    (10**6, 1e-9, 0.0), (10**6, 1.0, 0.0), (2, 0.999, 0.0), (900, 0.5, 0.0),
    (10**6, 0.99999, 0.0), (17, 0.3, 0.0), (64, 1.0, 0.0), (10**6, 1.0, 0.1), (10**6, 1.0, 1.0),
    (10**6, 0.8, 0.02), (7, 1.0, 1e-3), (20, 0.95, 0.3), (10**6, 1.0, 1e-30),
]  # fmt: skip


def make_logits(kind: str, num_rows: int, vocab_size: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    logits = 4 * torch.randn(num_rows, vocab_size, generator=generator)
    if kind == "ties":
        logits = (logits / 4).round()
    elif kind == "equal":
        logits = torch.zeros_like(logits)
    elif kind == "holes":
        logits[torch.rand(logits.shape, generator=generator) < 0.97] = -math.inf
        logits[:, 5] = 0.5  # none has no token at all
    elif kind == "bfloat16":
        logits = logits.bfloat16()
    elif kind == "steep":
        logits = logits * 20
    elif kind == "signed zeros":
        logits = torch.where(logits > 0, 0.0, -0.0)
    return logits


def parameters(vocab_size: int, device: torch.device) -> Draws:
    numbers = torch.arange(len(CUTS))
    return Draws(
        temperature=torch.linspace(0.3, 2.0, len(CUTS)).to(device),
        seeds=(numbers * 2**35 + 9).to(device),
        positions=(numbers * 7).to(device),
        steps=(numbers % 4).to(device),
        truncation=Truncation(
            None,
            torch.tensor([min(k, vocab_size) for k, _, _ in CUTS]).to(device),
            torch.tensor([p for _, p, _ in CUTS]).to(device),
            torch.tensor([p for _, _, p in CUTS]).to(device),
        ),
    )


def naive_kept(row: Tensor, temperature: float, k: int, p: float, min_p: float) -> set[int]:
    """One row in float64 by its definition, apart from sums at the very boundary."""
    probs = (row.double() / temperature).softmax(-1)
    likely = (probs >= min_p * probs.max()).nonzero()[:, 0].tolist()
    order = sorted(likely, key=lambda i: (-float(row[i]), i))[:k]
    probs = (row[order].double() / temperature).softmax(-1).tolist()
    kept, mass = set(), 0.0
    for token, prob in zip(order, probs, strict=True):
        if kept and mass >= p and p < 1:
            break
        kept.add(token)
        mass += prob
    return kept


@pytest.mark.parametrize("kind", ["plain", "ties", "equal", "steep", "signed zeros"])
def test_what_is_kept_is_what_the_definition_says(kind: str) -> None:
    logits = make_logits(kind, len(CUTS), 1500).float()
    draws = parameters(1500, torch.device("cpu"))
    kept = keep_likeliest(logits, draws)
    for i, row in enumerate(logits):
        k, *shares = (getattr(draws.truncation, name)[i].item() for name in FILTERS)
        expected = naive_kept(row, float(draws.temperature[i]), k, *shares)
        assert set(kept[i].nonzero()[:, 0].tolist()) == expected, CUTS[i]


def test_filters_are_at_the_temperature_of_spread_noise() -> None:
    logits = make_logits("plain", len(CUTS), 300)
    draws = parameters(300, torch.device("cpu"))
    spread = torch.linspace(0.1, 3.0, len(CUTS))
    kept = keep_likeliest(logits, replace(draws, temperature=draws.temperature * spread))
    assert torch.equal(keep_likeliest(logits, replace(draws, spread=spread)), kept)
    assert not torch.equal(keep_likeliest(logits, draws), kept)


def test_truncation_is_batch_invariant() -> None:
    logits = make_logits("ties", len(CUTS), 1500)
    draws = parameters(1500, torch.device("cpu"))
    together = keep_likeliest(logits, draws)
    for i in range(len(CUTS)):
        row = slice(i, i + 1)
        assert torch.equal(keep_likeliest(logits[row], draws.select(row)), together[row])


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("vocab_size", [100, 5000])
@pytest.mark.parametrize("kind", ["plain", "ties", "equal", "holes", "bfloat16", "signed zeros"])
def test_the_kernel_draws_what_torch_draws(
    kind: str, vocab_size: int, device: torch.device
) -> None:
    logits = make_logits(kind, len(CUTS), vocab_size).to(device)
    draws = parameters(vocab_size, device)
    plain = logits.float()
    plain[:, MASK] = -math.inf
    kept = keep_likeliest(plain, draws)
    with backend("torch"):
        expected = draw_likeliest(plain, draws)
    token, logit = draw_logits(logits, MASK, draws)
    assert torch.equal(token, expected)
    assert torch.equal(logit, plain.gather(1, token[:, None])[:, 0])
    assert kept[torch.arange(len(CUTS), device=device), token].all()
    if kind == "plain":
        assert (token != plain.argmax(-1)).any()


def test_noise_is_spread_the_same(device: torch.device) -> None:
    logits = make_logits("plain", len(CUTS), 300).to(device)
    still = replace(parameters(300, device), spread=torch.zeros(len(CUTS), device=device))
    wide = replace(still, spread=torch.full((len(CUTS),), 3.0, device=device))
    result = {}
    for name in ("torch", "triton"):
        with backend(name):
            assert torch.equal(draw_likeliest(logits, still), logits.argmax(-1))
            result[name] = draw_likeliest(logits, wide)
    assert torch.equal(result["torch"], result["triton"])
    assert (result["torch"] != logits.argmax(-1)).any()


def test_a_row_without_a_possible_token_draws_the_first(device: torch.device) -> None:
    logits = torch.full((len(CUTS), 300), -math.inf, device=device)
    token, logit = draw_logits(logits, MASK, parameters(300, device))
    assert (token == 0).all()
    assert (logit < -1e29).all()


def test_noise_of_single_entries_is_that_of_whole_rows() -> None:
    seeds, positions, steps = torch.arange(7) * 2**50, torch.arange(7) * 3, torch.arange(7) % 2
    whole = gumbel_noise(seeds, positions, steps, 1003)
    rows, entries = (torch.rand(7, 1003) < 0.1).nonzero(as_tuple=True)
    single = gumbel_at(seeds[rows], positions[rows], steps[rows], entries)
    assert torch.equal(single, whole[rows, entries])


def sampled(truncates: bool, device: torch.device) -> Draws:
    """Rows 1, 2, 4 and 5 are drawn, the second and the last of them from the likeliest."""
    rows = torch.tensor([1, 2, 4, 5], device=device)
    truncation = None
    if truncates:
        which = torch.tensor([1, 3], device=device)
        shares = torch.tensor([[1.0, 0.6], [0.0, 0.01]], device=device)
        truncation = Truncation(which, torch.tensor([4, 3000], device=device), *shares)
    temperature = torch.tensor([0.7, 1.0, 1.3, 1.0], device=device)
    return Draws(temperature, rows * 31, rows + 2, rows % 2, rows, truncation)


def test_untruncated_draws_do_not_depend_on_truncated_rows(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 32, generator=generator).to(device)
    weight = (torch.randn(3000, 32, generator=generator) / 4).to(device)
    result = {}
    for name in ("torch", "triton"):
        with backend(name):
            head = make_linear(weight)
            plain, mixed = (
                score_rows(hidden, head, mask_token_id=MASK, draws=sampled(cut, device))
                for cut in (False, True)
            )
        same = [0, 1, 3, 4, 6]
        assert torch.equal(plain.token[same], mixed.token[same])
        assert torch.equal(plain.confidence[same], mixed.confidence[same])
        result[name] = mixed
    assert torch.equal(result["torch"].token, result["triton"].token)
    confidence, expected = result["triton"].confidence, result["torch"].confidence
    torch.testing.assert_close(confidence, expected, rtol=1e-4, atol=1e-7, check_dtype=False)


def test_logits_in_memory_are_bounded() -> None:
    for vocab_size, num_bytes in ((151_936, 2), (151_936, 6), (262_144, 2), (40, 4)):
        rows = rows_at_a_time(vocab_size, num_bytes)
        assert rows % 16 == 0
        assert rows * vocab_size * num_bytes <= 64 * 2**20
