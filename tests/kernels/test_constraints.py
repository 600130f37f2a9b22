"""Logit biases and masks of allowed tokens: torch and Triton score and draw the same."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unmask_kernels.dispatch import Backend, backend
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.scoring.constraints import (
    ClassMasks,
    Constraints,
    constrain,
    make_constraints,
)
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.request_constraint import Constraint, pack_tokens
from unmask_kernels.scoring.types import Draws, GuidedRows, RowStats, Truncation

MASK, VOCAB, ROWS = 7, 5003, 6
ALLOWED = [3, MASK, 31, 32, 2047, 2048, 4100, 5002]
# At the edges of the pieces that kernels read, and beside the mask token.
BIASED = [0, MASK, 2047, 2048, 4095, 4096, 5002]
NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)


def bias(tokens: list[int], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(tokens, np.int32), np.array(values, np.float32)


REQUESTS = [
    None,
    Constraint(*bias(BIASED, [9.0, 50.0, -3.0, 8.5, 0.25, 9.5, -100.0]), None),
    Constraint(*NOTHING, pack_tokens(ALLOWED, VOCAB)),
    Constraint(
        *bias([5, 31, 4100], [100.0, -1.0, 2.0]),
        pack_tokens(ALLOWED, VOCAB),
        np.array([1.0, 3.0, 0.5], np.float32),
    ),
    Constraint(*NOTHING, pack_tokens([MASK], VOCAB)),  # nothing is left
    Constraint(*NOTHING, None),
]


def inputs(device: torch.device, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS, 32, generator=generator).to(device, dtype)
    head = (torch.randn(VOCAB, 32, generator=generator) / 4).to(device, dtype)
    return hidden, head


def constraints(owner: list[int], device: torch.device) -> Constraints:
    constraints = make_constraints(REQUESTS, np.array(owner), VOCAB, device)
    assert constraints is not None
    return constraints


def sampled(device: torch.device, *, truncates: bool) -> Draws:
    rows = torch.arange(ROWS, device=device)
    truncation = None
    if truncates:
        some = rows[1:]
        top_p = torch.full((ROWS - 1,), 0.8, device=device)
        min_p = torch.full((ROWS - 1,), 1e-3, device=device)
        truncation = Truncation(some, torch.full_like(some, 4), top_p, min_p)
    temperatures = torch.full((ROWS,), 1.5, device=device)
    return Draws(temperatures, rows * 7, rows + 1, rows % 3, rows, truncation)


def score(name, device, limits, draws=None, guided=None, dtype=torch.float32) -> RowStats:
    hidden, head = inputs(device, dtype)
    with backend(name):
        return score_rows(
            hidden, make_linear(head), mask_token_id=MASK, draws=draws, guided=guided,
            constraints=limits, with_entropy=True, with_margin=True, num_top=5,
        )  # fmt: skip


def class_masks(device: torch.device) -> tuple[ClassMasks, torch.Tensor]:
    """Masks of classes of two grammars, rows 1 and 4 without any, and the allowed tokens [M, V]."""
    generator = torch.Generator().manual_seed(3)
    class_of = torch.randint(0, 70, (2, VOCAB), generator=generator)
    grammar_of_row = torch.tensor([0, -1, 1, 0, -1, 1])
    bits = torch.rand(ROWS, 96, generator=generator) < 0.05
    bits[5] = False  # nothing is left
    allowed = torch.ones(ROWS, VOCAB, dtype=torch.bool)
    for row, grammar in enumerate(grammar_of_row.tolist()):
        if grammar >= 0:
            allowed[row] = bits[row, class_of[grammar]]
    words = np.packbits(bits.numpy(), axis=1, bitorder="little").view("<i4")
    masks = ClassMasks(
        grammar_of_row.int().to(device),
        class_of.short().to(device),
        torch.from_numpy(words.copy()).to(device),
    )
    return masks, allowed


@pytest.mark.parametrize("name", ["torch", "auto"])
def test_tokens_of_other_classes_are_forbidden(name: Backend) -> None:
    masks, allowed = class_masks(torch.device("cpu"))
    wider = replace(masks, class_of=torch.cat((masks.class_of, masks.class_of), 1))
    before = torch.randn(ROWS, VOCAB)
    for own in masks, wider:
        logits = before.clone()
        with backend(name):
            constrain(logits, Constraints(classes=own))
        assert torch.equal(logits, before.where(allowed, float("-inf")))


def assert_same(result: RowStats, expected: RowStats) -> None:
    assert torch.equal(result.token, expected.token)
    for name in ("confidence", "entropy", "margin", "top_logprobs"):
        value, other = getattr(result, name), getattr(expected, name)
        assert not value.isnan().any(), name
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5, check_dtype=False)
    possible = expected.top_logprobs > -math.inf
    assert torch.equal(result.top_ids[possible], expected.top_ids[possible])


@pytest.mark.parametrize("draws", ["greedy", "drawn", "truncated"])
def test_triton_scores_what_torch_scores(draws: str, device: torch.device) -> None:
    limits = constraints([0, 1, 2, 3, 4, 5], device)
    own = None if draws == "greedy" else sampled(device, truncates=draws == "truncated")
    expected = score("torch", device, limits, own)
    assert_same(score("triton", device, limits, own), expected)
    assert set(expected.token[2:4].tolist()) <= set(ALLOWED) - {MASK}


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("draws", ["greedy", "drawn", "truncated"])
@pytest.mark.parametrize("has_others", [False, True])
def test_masks_of_classes_are_those_of_their_tokens(
    draws: str, has_others: bool, device: torch.device
) -> None:
    masks, allowed = class_masks(device)
    others = constraints([0, 1, 2, 3, 4, 5], device) if has_others else Constraints()
    limits = replace(others, classes=masks)
    own = None if draws == "greedy" else sampled(device, truncates=draws == "truncated")
    expected = score("torch", device, limits, own)
    assert_same(score("triton", device, limits, own), expected)
    logits = torch.zeros(ROWS, VOCAB, device=device)
    constrain(logits, Constraints(classes=masks))
    assert torch.equal((logits == 0).cpu(), allowed)
    rows = torch.tensor([3, 0], device=device)
    constrain(logits := torch.zeros(2, VOCAB, device=device), limits.select(rows))
    if not has_others:
        assert torch.equal((logits == 0).cpu(), allowed[[3, 0]])


def test_guided_rows_are_constrained_after_guidance(device: torch.device) -> None:
    hidden, _ = inputs(device)
    rows = torch.tensor([1, 3], device=device)
    guided = GuidedRows(rows, hidden.flip(0)[:2], torch.tensor([1.0, 2.0], device=device))
    limits, own = constraints([0, 1, 2, 3, 4, 5], device), sampled(device, truncates=True)
    expected = score("torch", device, limits, own, guided)
    assert_same(score("triton", device, limits, own, guided), expected)


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_scores_are_of_the_distribution_after_bias_and_mask(name, device: torch.device) -> None:
    result = score(name, device, constraints([0, 1, 2, 3, 1, 2], device))
    hidden, head = inputs(device)
    logits = (hidden @ head.T).cpu().double()
    for row in (1, 3, 4):
        own = REQUESTS[[0, 1, 2, 3, 1, 2][row]]
        factors = own.bias_factors
        factors = np.ones_like(own.bias_values) if factors is None else factors
        for token, value, factor in zip(own.bias_tokens, own.bias_values, factors, strict=True):
            logit = float(logits[row, int(token)])
            logit = logit / float(factor) if logit > 0 else logit * float(factor)
            logits[row, int(token)] = logit + float(value)
    forbidden = [token for token in range(VOCAB) if token not in ALLOWED]
    for row in (2, 3, 5):
        logits[row, forbidden] = -math.inf
    probs = logits.softmax(-1)
    top = probs.index_fill(1, torch.tensor([MASK]), 0.0).topk(5)
    assert torch.equal(result.token.cpu(), top.indices[:, 0])
    for value, expected, atol in (
        (result.confidence, top.values[:, 0], 1e-6),
        (result.entropy, torch.special.entr(probs).sum(-1), 1e-5),
        (result.top_logprobs.exp(), top.values, 1e-6),
    ):
        torch.testing.assert_close(value.cpu().double(), expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_a_row_that_is_forbidden_everything_has_no_confidence(name, device: torch.device) -> None:
    result = score(name, device, constraints([4] * ROWS, device), sampled(device, truncates=True))
    for value in (result.token, result.confidence, result.entropy, result.margin):
        assert (value == 0).all()
    assert (result.top_logprobs == -math.inf).all()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("name", ["torch", "triton"])
def test_constrained_rows_change_no_others(name, device: torch.device) -> None:
    draws = sampled(device, truncates=True)
    alone = score(name, device, None, draws)
    mixed = score(name, device, constraints([0, 1, 5, 3, 0, 2], device), draws)
    for row in (0, 2, 4):
        for field in ("token", "entropy", "confidence", "top_ids"):
            assert torch.equal(getattr(alone, field)[row], getattr(mixed, field)[row])
    assert (alone.entropy[[1, 3, 5]] != mixed.entropy[[1, 3, 5]]).all()


def test_biases_are_added_in_float32_to_bfloat16_logits(device: torch.device) -> None:
    tiny = replace(REQUESTS[1], bias_values=np.full(len(BIASED), 1e-3, np.float32))
    limits = make_constraints([tiny], np.zeros(ROWS, np.int64), VOCAB, device)
    expected = score("torch", device, limits, dtype=torch.bfloat16)
    assert_same(score("triton", device, limits, dtype=torch.bfloat16), expected)


def test_rows_of_requests_without_constraints_need_none(device: torch.device) -> None:
    assert make_constraints(REQUESTS, np.array([0, 5, 0]), VOCAB, device) is None
    only = make_constraints(REQUESTS, np.array([0, 2, 0]), VOCAB, device)
    assert only is not None
    assert only.biases is None
    assert only.masks is not None
    assert only.masks.mask_of_row.tolist() == [-1, 0, -1]
    assert len(only.masks.words) == 1


def test_a_mask_allows_exactly_its_tokens() -> None:
    logits = torch.zeros(1, 70)
    own = Constraint(*NOTHING, pack_tokens([0, 31, 32, 69], 70))
    limits = make_constraints([own], np.array([0]), 70, torch.device("cpu"))
    assert limits is not None
    constrain(logits, limits)
    assert (logits[0] == 0).nonzero()[:, 0].tolist() == [0, 31, 32, 69]
