"""The head fused with its statistics, against slices of logits and against torch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.dispatch import Backend
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.scoring import ops as unmasking
from unmask_kernels.scoring.constraints import Constraints, make_constraints
from unmask_kernels.scoring.gpu import fused_head
from unmask_kernels.scoring.gpu.fused_head import FusedConfig, fused_config, score_fused
from unmask_kernels.scoring.gpu.scores import Draws, Statistics, score_hidden
from unmask_kernels.scoring.ops import RowScores, SampledRows, score_rows
from unmask_kernels.scoring.request_constraint import Constraint, pack_tokens
from unmask_kernels.scoring.truncation import Truncation

VOCAB, MASK, HIDDEN = 2100, 77, 40  # a piece and a bit; no whole number of any tile
PLAIN = FusedConfig(
    rows=16, entries=128, inputs=32, part=64, num_warps=4, num_stages=2, tma=False
)  # the interpreter is slow at the usual one
COPIED = replace(PLAIN, tma=True, packed=True)
FIELDS = ("token", "confidence", "entropy", "margin", "log_norm")
# A logit that is summed in another order may be rounded to the neighbouring bfloat16, 2**-8 away.
CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.bfloat16: {"rtol": 5e-3, "atol": 5e-3}}

NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)
BIASED = np.array([0, MASK, 63, 64, 2047, 2048, VOCAB - 1], np.int32)
VALUES = np.array([9.0, 50.0, -3.0, 8.5, 0.25, 9.5, -100.0], np.float32)
ALLOWED = pack_tokens([3, MASK, 31, 32, 63, 64, 2047, 2048, VOCAB - 1], VOCAB)
REQUESTS = [
    None,
    Constraint(BIASED, VALUES, None),
    Constraint(*NOTHING, ALLOWED),
    Constraint(BIASED[2:5], VALUES[2:5], ALLOWED),
    Constraint(*NOTHING, pack_tokens([MASK], VOCAB)),  # nothing is left
]


def inputs(num_rows: int, device: torch.device, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(num_rows, HIDDEN, generator=generator)
    head = torch.randn(VOCAB, HIDDEN, generator=generator) / 3
    return hidden.to(device, dtype), head.to(device, dtype)


def draws(num_rows: int, device: torch.device) -> Draws:
    numbers = torch.arange(num_rows, device=device)
    heat = (numbers % 4) * 0.5  # every fourth row is not drawn
    return Draws(heat, numbers * 2**40 + 7, numbers * 3, numbers % 5)


def limits(num_rows: int, device: torch.device) -> Constraints:
    made = make_constraints(REQUESTS, np.arange(num_rows) % len(REQUESTS), VOCAB, device)
    assert made is not None
    return made


def assert_close(found: Statistics, expected: Statistics, dtype: torch.dtype) -> None:
    assert torch.equal(found.token, expected.token)
    for name in FIELDS[1:]:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), **CLOSE[dtype])


@pytest.mark.parametrize("config", [PLAIN, COPIED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_are_those_of_slices_of_logits(
    dtype: torch.dtype, config: FusedConfig, device: torch.device
) -> None:
    hidden, head = inputs(5, device, dtype)
    found = score_fused(hidden, head, MASK, None, config=config)
    assert_close(found, score_hidden(hidden, head, MASK, None), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_draws_and_constraints_are_those_of_slices_of_logits(
    dtype: torch.dtype, device: torch.device
) -> None:
    num_rows = 10
    hidden, head = inputs(num_rows, device, dtype)
    own = draws(num_rows, device), limits(num_rows, device)
    expected = score_hidden(hidden, head, MASK, *own)
    assert_close(score_fused(hidden, head, MASK, *own, config=COPIED), expected, dtype)
    assert (expected.token != score_hidden(hidden, head, MASK, None, own[1]).token).any()


@pytest.mark.parametrize(
    ("dtype", "hidden_size"), [(torch.float32, 40), (torch.bfloat16, 40), (torch.bfloat16, 33)]
)
def test_what_is_picked_for_a_head_scores_it(
    dtype: torch.dtype, hidden_size: int, device: torch.device
) -> None:
    hidden, head = (t[:, :hidden_size].contiguous() for t in inputs(3, device, dtype))
    head = head[:300]
    found = score_fused(hidden, head, MASK, draws(3, device))
    assert_close(found, score_hidden(hidden, head, MASK, draws(3, device)), dtype)


def test_only_aligned_heads_are_for_the_copy_engine() -> None:
    assert fused_config(torch.bfloat16, 90, aligned=True).tma
    assert not fused_config(torch.bfloat16, 90, aligned=False).tma
    assert not fused_config(torch.bfloat16, 80, aligned=True).tma


def test_ways_to_read_a_head_give_the_same_bits(device: torch.device) -> None:
    hidden, head = inputs(5, device, torch.bfloat16)
    copied, plain = (score_fused(hidden, head, MASK, None, config=c) for c in (COPIED, PLAIN))
    for name in FIELDS:
        assert torch.equal(getattr(copied, name), getattr(plain, name)), name


def test_the_lowest_of_equals_is_taken_and_never_the_mask_token(device: torch.device) -> None:
    hidden, head = torch.ones(2, 8, device=device), torch.zeros(VOCAB, 8, device=device)
    hidden[1] = 0.0
    head[[0, 70, 2050]] = 1.0
    found = score_fused(hidden, head, 0, None, config=PLAIN)
    assert found.token.tolist() == [70, 1]
    assert found.margin.tolist() == [0.0, 0.0]
    assert found.entropy[1].item() == pytest.approx(math.log(VOCAB), rel=1e-6)


def test_a_row_that_is_forbidden_everything_has_no_confidence(device: torch.device) -> None:
    hidden, head = inputs(1, device)
    own = make_constraints([REQUESTS[4]], np.zeros(1, np.int64), VOCAB, device)
    heat = draws(2, device).of(torch.tensor([1], device=device))
    found = score_fused(hidden, head, MASK, heat, own, PLAIN)
    for name in FIELDS:
        assert getattr(found, name).tolist() == [0], name


def test_rows_have_the_same_bits_alone_and_in_any_company(device: torch.device) -> None:
    """Even where the others are drawn or constrained and the row is neither."""
    num_rows = 21
    hidden, head = inputs(num_rows, device, torch.bfloat16)
    heat, limit = draws(num_rows, device), limits(num_rows, device)
    together = score_fused(hidden, head, MASK, heat, limit, COPIED)
    for row in (0, 6, 20):  # neither; drawn and biased; in the second tile
        some = torch.tensor([row], device=device)
        drawn, constrained = row % 4 > 0, row % len(REQUESTS) > 0
        own = heat.of(some) if drawn else None, limit.of(some) if constrained else None
        alone = score_fused(hidden[some], head, MASK, *own, config=COPIED)
        for name in FIELDS:
            assert torch.equal(getattr(alone, name), getattr(together, name)[some]), (row, name)


@pytest.mark.parametrize("config", [PLAIN, COPIED])
def test_memory_that_is_not_a_rows_is_not_read_and_all_results_are_written(
    config: FusedConfig, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, head = inputs(3, device, torch.bfloat16)
    expected = score_fused(hidden, head, MASK, None, config=config)
    rows = torch.full((40, HIDDEN), math.nan, dtype=hidden.dtype, device=device)
    entries = torch.full((VOCAB + 300, HIDDEN + 8), math.nan, dtype=head.dtype, device=device)
    rows[:3], entries[:VOCAB, :HIDDEN] = hidden, head
    empty = torch.empty

    def poisoned(*args, **options) -> Tensor:
        made = empty(*args, **options)
        return made.fill_(math.nan if made.is_floating_point() else 2**31 - 1)

    monkeypatch.setattr(torch, "empty", poisoned)
    found = score_fused(rows[:3], entries[:VOCAB, :HIDDEN], MASK, None, config=config)
    for name in FIELDS:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_no_rows_have_no_statistics(device: torch.device) -> None:
    hidden, head = inputs(0, device)
    assert score_fused(hidden, head, MASK, None).token.numel() == 0


@pytest.mark.parametrize("truncates", [False, True])
def test_where_it_is_chosen_rows_get_what_torch_gives_them(
    truncates: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_rows = 6
    hidden, head = inputs(num_rows, device)
    monkeypatch.setattr(unmasking, "FUSED_HEAD", True)
    monkeypatch.setattr(fused_head, "fused_config", lambda *_, **__: PLAIN)
    rows = torch.arange(1, num_rows, device=device)
    some, one = rows[:2] - 1, torch.ones(2, device=device)
    truncation = Truncation(some, torch.full_like(some, 4), one * 0.8) if truncates else None
    heat = torch.full_like(rows, 1.5, dtype=torch.float32)
    sampled = SampledRows(rows, heat, rows * 7, rows + 1, rows % 3, truncation)

    def score(name: Backend, num_top: int = 0) -> RowScores:
        with dispatch.backend(name):
            return score_rows(
                hidden, make_linear(head), mask_token_id=MASK, sampled=sampled,
                constraints=limits(num_rows, device), with_entropy=True, with_margin=True,
                num_top=num_top,
            )  # fmt: skip

    found, expected = score("triton"), score("torch")
    assert torch.equal(found.token, expected.token)
    for name in ("confidence", "entropy", "margin"):
        value, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5, check_dtype=False)
    assert score("triton", num_top=3).top_ids is not None
