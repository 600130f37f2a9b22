"""Row scores and sampling: the right distribution, the same numbers in any company."""

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from torch.utils._python_dispatch import TorchDispatchMode

from unmask_kernels.dispatch import Backend
from unmask_kernels.linear.ops import Linear, make_linear
from unmask_kernels.philox import _gumbel, gumbel_noise, philox
from unmask_kernels.philox_gpu import _gumbel_of
from unmask_kernels.scoring.constraints import make_constraints
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.reference import likeliest
from unmask_kernels.scoring.request_constraint import pack_constraint
from unmask_kernels.scoring.types import Draws, LastTokens, RowStats, Truncation

VOCAB, HIDDEN, MASK = 40, 16, 7


def draw(
    num_rows: int,
    temperature: float,
    device: torch.device,
    top_k: int = VOCAB,
    top_p: float = 1.0,
) -> torch.Tensor:
    """Tokens of one distribution drawn at many positions, on the host."""
    hidden = torch.randn(1, HIDDEN, generator=torch.Generator().manual_seed(1)).to(device)
    rows = torch.arange(num_rows, device=device)
    temperatures = torch.full((num_rows,), temperature, device=device)
    sampled = Draws(
        rows=rows,
        temperature=temperatures,
        seeds=torch.full_like(rows, 2**62 + 12345),
        positions=rows,
        steps=torch.zeros_like(rows),
        truncation=Truncation(
            rows,
            torch.full_like(rows, top_k),
            torch.full_like(temperatures, top_p),
            torch.zeros_like(temperatures),
        )
        if top_k < VOCAB or top_p < 1
        else None,
    )
    scores = score_rows(
        hidden.expand(num_rows, -1).contiguous(), head(device), mask_token_id=MASK, draws=sampled
    )
    return scores.token.cpu()


def head(device: torch.device) -> Linear:
    weight = torch.randn(VOCAB, HIDDEN, generator=torch.Generator().manual_seed(2)) / 4
    return make_linear(weight.to(device))


def distribution(temperature: float, device: torch.device) -> torch.Tensor:
    hidden = torch.randn(1, HIDDEN, generator=torch.Generator().manual_seed(1)).to(device)
    logits = head(device)(hidden.expand(2, -1).contiguous())[0].cpu()
    logits[MASK] = -math.inf
    return (logits / temperature).softmax(-1)


def on_host(scores: RowStats) -> RowStats:
    values = (getattr(scores, field.name) for field in fields(scores))
    return RowStats(*(None if value is None else value.cpu() for value in values))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_tempered_distribution(temperature: float, device: torch.device) -> None:
    count = 20_000
    observed = torch.bincount(draw(count, temperature, device), minlength=VOCAB).double()
    expected = distribution(temperature, device).double() * count
    kept = expected > 5
    statistic = ((observed - expected)[kept] ** 2 / expected[kept]).sum().item()
    freedom = int(kept.sum()) - 1
    # Four standard deviations of a chi-squared variable above its mean.
    assert statistic < freedom + 4 * math.sqrt(2 * freedom)


def test_the_mask_token_is_never_drawn(device: torch.device) -> None:
    assert not (draw(20_000, 50.0, device) == MASK).any()


def test_top_k_and_top_p_leave_only_the_likeliest(backend: Backend, device: torch.device) -> None:
    # The interpreter is slow.
    count = 500 if backend == "torch" or device.type == "cuda" else 40
    likely = distribution(1.0, device)
    order = likely.argsort(descending=True).tolist()
    assert set(draw(count, 1.0, device, top_k=3).tolist()) == set(order[:3])
    mass = likely[order].cumsum(0)
    needed = int((mass < 0.5).sum()) + 1
    assert set(draw(count, 1.0, device, top_p=0.5).tolist()) == set(order[:needed])


def test_scores_are_those_of_a_plain_softmax(backend: Backend, device: torch.device) -> None:
    hidden = torch.randn(9, HIDDEN, generator=torch.Generator().manual_seed(3)).to(device)
    lm_head = head(device)
    scores = on_host(score_rows(hidden, lm_head, mask_token_id=MASK, with_entropy=True, num_top=3))
    probs = lm_head(hidden).cpu().double().softmax(-1)
    tokens = probs.index_fill(1, torch.tensor([MASK]), 0.0)
    assert (probs[:, MASK] > 1e-3).any()
    torch.testing.assert_close(scores.confidence.double(), tokens.max(-1).values, rtol=0, atol=1e-6)
    entropy = torch.special.entr(probs).sum(-1)
    assert scores.entropy is not None
    torch.testing.assert_close(scores.entropy.double(), entropy, rtol=0, atol=1e-5)
    assert scores.top_ids is not None
    assert torch.equal(scores.top_ids, tokens.topk(3).indices)
    assert scores.top_logprobs is not None
    expected = tokens.topk(3).values.log()
    torch.testing.assert_close(scores.top_logprobs.double(), expected, rtol=0, atol=1e-5)


@triton.jit
def noise_kernel(words, out, SIZE: tl.constexpr):
    o_word = tl.arange(0, SIZE)
    tl.store(out + o_word, _gumbel_of(tl.load(words + o_word).to(tl.uint32)))


def test_noise_is_finite_for_every_word(device: torch.device) -> None:
    """An infinite one, once in 2 ** 24 entries, would win against any logit."""
    ends = [0, 1, 2**31 - 1, 2**31, 2**32 - 257, 2**32 - 256, 2**32 - 2, 2**32 - 1]
    words = torch.tensor(ends, device=device)
    noise = _gumbel(words)
    assert noise.isfinite().all()
    assert torch.equal(noise, noise.sort().values)
    out = torch.empty(len(ends), device=device)
    noise_kernel[(1,)](words, out, SIZE=len(ends))
    torch.testing.assert_close(out, noise, rtol=1e-5, atol=1e-6)


def test_philox_gives_the_published_words() -> None:
    """Known answers of Philox4x32-10 from Random123's kat_vectors."""

    def words(*values: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.tensor(value) for value in values)

    zeros = philox(words(0, 0, 0, 0), words(0, 0))
    assert [hex(word) for word in zeros.tolist()] == [
        "0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8",
    ]  # fmt: skip
    ones = philox(words(*[0xFFFFFFFF] * 4), words(*[0xFFFFFFFF] * 2))
    assert [hex(word) for word in ones.tolist()] == [
        "0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd",
    ]  # fmt: skip


def test_noise_of_a_row_does_not_depend_on_other_rows() -> None:
    seeds, positions = torch.tensor([5, 6, 2**61]), torch.tensor([0, 9, 9])
    steps = torch.tensor([1, 0, 3])
    together = gumbel_noise(seeds, positions, steps, 33)
    for i in range(3):
        row = slice(i, i + 1)
        assert torch.equal(gumbel_noise(seeds[row], positions[row], steps[row], 33)[0], together[i])


def test_a_row_of_temperature_zero_takes_its_likeliest_token(
    backend: Backend, device: torch.device
) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(5, 32).to(device), make_linear(torch.randn(300, 32).to(device))
    rows = torch.arange(5, device=device)
    temperature = torch.tensor([0.0, 1.0, 0.0, 2.0, 0.0], device=device)
    sampled = Draws(temperature, rows * 7, rows, rows, rows)
    plain = score_rows(hidden, head, mask_token_id=9)
    drawn = score_rows(hidden, head, mask_token_id=9, draws=sampled)
    greedy = temperature == 0
    assert torch.equal(drawn.token[greedy], plain.token[greedy])
    assert torch.equal(drawn.confidence[greedy], plain.confidence[greedy])
    assert (drawn.token != plain.token).any()


def test_drawn_tokens_have_their_own_confidence(backend: Backend, device: torch.device) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(9, 32).to(device), make_linear(torch.randn(300, 32).to(device))
    rows = torch.arange(1, 8, device=device)
    sampled = Draws(torch.full((7,), 1.5, device=device), rows * 7, rows, rows, rows)
    result = on_host(score_rows(hidden, head, mask_token_id=9, draws=sampled, with_entropy=True))
    probabilities = head(hidden).cpu().double().softmax(-1)
    own = probabilities.gather(1, result.token[:, None])[:, 0]
    assert (result.token != probabilities.argmax(-1)).sum() >= 3
    assert (result.token != 9).all()
    torch.testing.assert_close(result.confidence.double(), own, rtol=1e-4, atol=1e-7)
    entropy = torch.special.entr(probabilities).sum(-1)
    assert result.entropy is not None
    torch.testing.assert_close(result.entropy.double(), entropy, rtol=1e-4, atol=1e-5)


def test_of_equal_logits_the_lowest_ids_are_the_likeliest() -> None:
    torch.manual_seed(0)
    logits = torch.randint(0, 6, (7, 90)).float()
    logits[3, 4:] = -math.inf  # fewer are possible than are asked for
    values, ids = likeliest(logits, 8)
    for row, own_values, own_ids in zip(
        logits.tolist(), values.tolist(), ids.tolist(), strict=True
    ):
        expected = sorted(range(90), key=lambda i: (-row[i], i))[:8]
        assert own_ids == expected
        assert own_values == [row[i] for i in expected]


class Sorted(TorchDispatchMode):
    """Numbers that are sorted."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if "sort" in func.name():
            self.count += args[0].numel()
        return func(*args, **(kwargs or {}))


def test_forbidden_tokens_follow_in_order_without_being_sorted() -> None:
    logits = torch.full((3, 9000), -math.inf)
    logits[0, [8000, 2]], logits[1, 1] = 1.0, 4.0
    with Sorted() as mode:
        values, ids = likeliest(logits, 4)
    assert ids.tolist() == [[2, 8000, 0, 1], [1, 0, 2, 3], [0, 1, 2, 3]]
    assert torch.equal(values, logits.gather(1, ids))
    assert 0 < mode.count < 100


def test_a_row_that_is_no_number_has_likeliest_tokens_of_its_own() -> None:
    logits = torch.arange(12.0).repeat(3, 1)
    logits[0, 4] = logits[2] = math.nan
    _, ids = likeliest(logits, 3)
    assert ids.tolist() == [[4, 11, 10], [11, 10, 9], [0, 1, 2]]


def test_no_shape_of_the_likeliest_depends_on_values() -> None:
    """A GPU would have to finish all steps before it to tell."""
    values, ids = likeliest(torch.empty(3, 90, device="meta"), 4)
    assert values.shape == ids.shape == (3, 4)


def test_confidences_next_to_one_are_told_apart() -> None:
    tails = torch.tensor([3e-8, 1e-9, 4e-7, 1e-12, 2e-8], dtype=torch.float64)
    logits = torch.full((len(tails), 40), -200.0)
    logits[:, 7] = 76.0
    logits[:, 9] = 76.0 + tails.log().float()
    head, rows = make_linear(logits.T.contiguous()), torch.eye(len(tails))
    scores = score_rows(rows, head, mask_token_id=0, with_entropy=True, with_margin=True)
    assert scores.token.tolist() == [7] * len(tails)
    order = tails.argsort()
    assert torch.equal(scores.confidence.argsort(descending=True), order)
    torch.testing.assert_close(1 - scores.confidence.double(), tails, rtol=1e-3, atol=0.0)
    entropy = tails * (1 - tails.log())
    assert scores.entropy is not None
    torch.testing.assert_close(scores.entropy.double(), entropy, rtol=1e-3, atol=0.0)
    assert scores.margin is not None
    torch.testing.assert_close(1 - scores.margin.double(), 2 * tails, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("backend", ["torch", "triton"], indirect=True)
@pytest.mark.parametrize("biased", [False, True])
def test_rows_with_last_tokens_are_ranked_without_them(
    backend: Backend, biased: bool, device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden, rows = torch.randn(30, HIDDEN, generator=generator).to(device), torch.arange(1, 30, 2)
    tokens, constraints, lm_head = torch.tensor([3, 21, 30]), None, head(device)
    logits = lm_head(hidden).cpu().double()
    if biased:
        bias = pack_constraint({21: 2.5, 5: -1.0}, None, VOCAB)
        owner = torch.zeros(30, dtype=torch.int64).numpy()
        constraints = make_constraints([bias], owner, VOCAB, device)
        logits[:, 21] += 2.5
        logits[:, 5] -= 1.0
    last = LastTokens(rows.to(device), tokens.to(device))
    scores = on_host(
        score_rows(hidden, lm_head, mask_token_id=MASK, constraints=constraints, last=last)
    )
    others = logits.index_fill(1, tokens, -math.inf).softmax(-1)
    expected = others.gather(1, scores.token[:, None])[:, 0]  # zero where it is one of the last
    assert scores.ranking is not None
    torch.testing.assert_close(scores.ranking[rows].double(), expected[rows], rtol=1e-5, atol=1e-7)
    is_last = rows[torch.isin(scores.token[rows], tokens)]
    assert len(is_last)
    order = scores.ranking[is_last].argsort()
    assert torch.equal(order, scores.confidence[is_last].argsort()), "the surest of them first"
    assert torch.equal(scores.ranking[::2], scores.confidence[::2])
    chances = logits.softmax(-1).gather(1, scores.token[:, None])[:, 0]
    torch.testing.assert_close(scores.confidence.double(), chances, rtol=1e-5, atol=1e-7)
