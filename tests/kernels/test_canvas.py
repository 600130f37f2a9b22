"""Scores of canvas rows, from slices of logits, against whole logits in float64."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.dispatch import Backend
from unmask_kernels.noise.gpu import scores as canvas_scores
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.noise.vocabulary import make_vocabulary
from unmask_kernels.philox import gumbel_noise, noise_tokens
from unmask_kernels.scoring.types import Draws

ROWS, VOCAB, COLUMNS = 9, 50, 24
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
CAP, SCALE = 5.0, 2.5


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, an embedding and a temperature for each row."""
    hidden, embedding = torch.randn(ROWS, COLUMNS), torch.randn(VOCAB, COLUMNS)
    return hidden.to(dtype), embedding.to(dtype), torch.rand(ROWS) + 0.2


def score(
    hidden: Tensor, embedding: Tensor, temperature: Tensor, *, slice_len: int = 8, **given: object
) -> CanvasScores:
    vocabulary = make_vocabulary(embedding, softcap=CAP, scale=SCALE, slice_len=slice_len)
    given = {"draws": greedy(temperature)} | given
    return score_canvas(hidden, vocabulary, **given)


def greedy(temperature: Tensor) -> Draws:
    zeros = torch.zeros_like(temperature, dtype=torch.int64)
    return Draws(temperature, zeros, zeros, zeros, spread=torch.zeros_like(temperature))


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("slice_len", [4, 20, 64])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_slices_add_up_to_the_whole_vocabulary(
    dtype: torch.dtype, slice_len: int, device: torch.device, backend: Backend
) -> None:
    hidden, embedding, temperature = inputs(dtype)
    given = (t.to(device) for t in (hidden, embedding, temperature))
    result = score(*given, slice_len=slice_len, num_top=3)
    # Products are rounded to the dtype before anything else becomes of them.
    logits = CAP * ((hidden.double() @ embedding.double().T).to(dtype).double() / CAP).tanh()
    plain, heated = logits.log_softmax(-1), (logits / temperature[:, None].double()).log_softmax(-1)
    expected = {
        "confidence": plain.exp().amax(-1),
        "entropy": -(heated * heated.exp()).sum(-1),
        "soft": heated.exp() @ embedding.double() * SCALE,
        "top_logprobs": plain.topk(3).values,
    }
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    for name, exact in expected.items():
        torch.testing.assert_close(getattr(result, name).cpu().double(), exact, **close)
    assert result.soft.dtype == dtype
    if dtype == torch.float32:
        assert torch.equal(result.best.cpu(), logits.argmax(-1))
        assert torch.equal(result.drawn, result.best)
        assert torch.equal(result.top_ids.cpu(), plain.topk(3).indices)


@pytest.mark.parametrize("slice_len", [8, 64])
def test_of_equal_tokens_the_lowest_ids_are_the_likeliest(
    slice_len: int, device: torch.device, backend: Backend
) -> None:
    hidden = torch.randint(-2, 3, (ROWS, COLUMNS)).float()
    embedding = torch.randint(-2, 3, (5, COLUMNS)).float().repeat(VOCAB // 5, 1)
    vocabulary = make_vocabulary(
        embedding.to(device), softcap=None, scale=SCALE, slice_len=slice_len
    )
    draws = greedy(torch.ones(ROWS, device=device))
    result = score_canvas(hidden.to(device), vocabulary, draws, num_top=7)
    logits = (hidden @ embedding.T).tolist()
    expected = [sorted(range(VOCAB), key=lambda i: (-row[i], i))[:7] for row in logits]
    assert result.top_ids is not None
    assert result.top_ids.tolist() == expected


def test_a_token_is_drawn_by_its_noise_and_spread() -> None:
    hidden, embedding, temperature = inputs(torch.float32)
    noise, spread = 3 * torch.randn(ROWS, VOCAB), torch.linspace(0, 2, ROWS)
    result = score(
        hidden,
        embedding,
        temperature,
        draws=replace(greedy(temperature), spread=spread),
        noise=lambda first, count: noise[:, first : first + count],
    )
    logits = CAP * (hidden @ embedding.T / CAP).tanh() / temperature[:, None]
    assert torch.equal(result.drawn, (logits + spread[:, None] * noise).argmax(-1))
    assert result.drawn[0] == result.best[0]
    assert not torch.equal(result.drawn, result.best)


@pytest.mark.parametrize("softcap", [CAP, None])
def test_kernels_draw_and_weigh_as_torch_does(softcap: float | None, device: torch.device) -> None:
    """Over slices of several pieces, the last of which is not whole."""
    hidden, embedding = torch.randn(5, COLUMNS), torch.randn(5003, COLUMNS) / 3
    keys = torch.randint(0, 2**60, (5,)), torch.randint(0, 999, (5,)), torch.arange(5)
    temperature, spread = torch.rand(5) + 0.2, torch.linspace(0.0, 1.5, 5)
    result = []
    for name, place in (("torch", torch.device("cpu")), ("triton", device)):
        with dispatch.backend(name):
            vocabulary = make_vocabulary(
                embedding.to(place), softcap=softcap, scale=SCALE, slice_len=4096
            )
            draws = Draws(*(t.to(place) for t in (temperature, *keys)), spread=spread.to(place))
            result.append(score_canvas(hidden.to(place), vocabulary, draws, num_top=2))
    for name in ("drawn", "best", "top_ids"):
        one, other = (getattr(scores, name).cpu() for scores in result)
        assert torch.equal(one, other), name
    assert not torch.equal(result[0].drawn, result[0].best)
    for name in ("confidence", "entropy", "soft", "top_logprobs"):
        one, other = (getattr(scores, name).cpu() for scores in result)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_of_equal_logits_the_lowest_token_is_the_best(
    device: torch.device, backend: Backend
) -> None:
    given = (torch.zeros(2, COLUMNS), torch.randn(VOCAB, COLUMNS), torch.ones(2))
    result = score(*(t.to(device) for t in given))
    assert result.best.tolist() == [0, 0]
    assert result.entropy.tolist() == pytest.approx([torch.tensor(VOCAB).log().item()] * 2)


@pytest.mark.parametrize("vocab_size", [37, 600, 5000])
def test_rows_are_batch_invariant(vocab_size: int) -> None:
    count = 600
    hidden, embedding = torch.randn(count, 64), torch.randn(vocab_size, 64) / 4
    keys = [torch.randint(0, 1000, (count,)) for _ in range(3)]
    temperature, spread = torch.rand(count) + 0.2, torch.rand(count)
    draws = Draws(temperature, *keys, spread=spread)
    vocabulary = make_vocabulary(embedding, softcap=CAP, scale=SCALE, slice_len=2048)

    def run(rows: slice) -> CanvasScores:
        return score_canvas(hidden[rows], vocabulary, draws.select(rows), num_top=4)

    whole = run(slice(0, count))
    for rows in (slice(0, 1), slice(3, 19), slice(20, 70), slice(1, 599), slice(599, 600)):
        part = run(rows)
        for name in ("drawn", "best", "confidence", "entropy", "soft", "top_ids", "top_logprobs"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[rows]), (name, rows)


def test_noise_is_the_same_for_one_row_and_for_many() -> None:
    draws = Draws(torch.ones(50), *(torch.arange(50) for _ in range(3)))
    whole = draws.noise(0, 37)
    for i in range(50):
        assert torch.equal(draws.select(slice(i, i + 1)).noise(0, 37)[0], whole[i])


def test_noise_of_a_slice_is_that_of_the_whole() -> None:
    keys = torch.tensor([3, 2**40 + 1]), torch.tensor([5, 900]), torch.tensor([0, 7])
    whole = gumbel_noise(*keys, 50)
    assert torch.equal(Draws(torch.ones(2), *keys).noise(12, 21), whole[:, 12:33])


def test_tokens_of_noise_are_uniform_and_their_own() -> None:
    count, vocab_size = 20_000, 10
    positions = torch.arange(count)
    seeds, steps = torch.full((count,), 2**50 + 3), torch.zeros(count, dtype=torch.int64)
    tokens = noise_tokens(seeds, positions, steps, vocab_size)
    assert tokens.min() == 0
    assert tokens.max() == vocab_size - 1
    expected = count / vocab_size
    # Nine degrees of freedom: 27.9 is passed once in a thousand times.
    assert ((tokens.bincount() - expected) ** 2 / expected).sum() < 27.9
    for other in (
        noise_tokens(seeds + 1, positions, steps, vocab_size),
        noise_tokens(seeds, positions, steps + 1, vocab_size),
        noise_tokens(seeds, positions + 1, steps, vocab_size),
        gumbel_noise(seeds, positions, steps, vocab_size).argmax(-1),
    ):
        assert (tokens == other).float().mean() == pytest.approx(1 / vocab_size, abs=0.01)


def test_rows_on_kernels_are_batch_invariant(device: torch.device, triton_kernels: None) -> None:
    """With more rows than have their logits in memory at once, too."""
    count = 10
    hidden, embedding = torch.randn(count, 8, device=device), torch.randn(10, 8, device=device)
    keys = [torch.randint(0, 1000, (count,), device=device) for _ in range(3)]
    temperature, spread = torch.rand(count, device=device) + 0.2, torch.rand(count, device=device)
    draws = Draws(temperature, *keys, spread=spread)
    vocabulary = make_vocabulary(embedding, softcap=CAP, scale=SCALE, slice_len=8)

    def run(rows: slice) -> CanvasScores:
        return canvas_scores.score(hidden[rows], vocabulary, draws.select(rows), 2, num_at_once=4)

    whole = run(slice(0, count))
    for rows in (slice(0, 3), slice(6, 10), slice(3, 9)):
        part = run(rows)
        for name in ("drawn", "best", "confidence", "entropy", "soft", "top_ids", "top_logprobs"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[rows]), (name, rows)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("triton_kernels")
def test_numbers_of_rows_may_be_one_that_is_expanded(device: torch.device) -> None:
    hidden, embedding, _ = (t.to(device) for t in inputs(torch.float32))
    one, zero = torch.ones(1, device=device), torch.zeros(1, dtype=torch.int64, device=device)
    vocabulary = make_vocabulary(embedding, softcap=CAP, scale=SCALE)

    def run(copied: bool) -> CanvasScores:
        vectors = [t.expand(ROWS) for t in (one / 2, one, zero, zero, zero)]
        if copied:
            vectors = [t.clone() for t in vectors]
        temperature, spread, *keys = vectors
        return score_canvas(hidden, vocabulary, Draws(temperature, *keys, spread=spread))

    for name in ("drawn", "best", "confidence", "entropy", "soft"):
        assert torch.equal(getattr(run(False), name), getattr(run(True), name)), name


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
@pytest.mark.parametrize("vocab_size", [48, VOCAB])
def test_a_row_of_no_numbers_gets_tokens_of_the_vocabulary_and_changes_no_other(
    vocab_size: int, number: float, device: torch.device
) -> None:
    """Ids beyond it would index an embedding."""
    hidden, embedding, temperature = (t.to(device) for t in inputs(torch.float32))
    embedding = embedding[:vocab_size].contiguous()
    spoiled = hidden.clone()
    spoiled[4] = number
    keys = (torch.arange(ROWS, device=device) for _ in range(3))
    with dispatch.backend("triton"):
        draws = Draws(temperature, *keys)
        usual = score(hidden, embedding, temperature, draws=draws)
        result = score(spoiled, embedding, temperature, draws=draws)
    for name in ("best", "drawn"):
        tokens = getattr(result, name)
        assert ((tokens >= 0) & (tokens < vocab_size)).all()
        assert torch.equal(tokens[:4], getattr(usual, name)[:4])
        assert torch.equal(tokens[5:], getattr(usual, name)[5:])
    assert torch.equal(result.soft[5:], usual.soft[5:])
