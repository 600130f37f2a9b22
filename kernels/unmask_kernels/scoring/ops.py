"""From hidden states of masked positions to a token and its statistics, one row each."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native, uses_triton
from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.philox import gumbel_noise
from unmask_kernels.scoring import cpu as cpu_likelihoods
from unmask_kernels.scoring.constraints import Constraints, constrain
from unmask_kernels.scoring.truncation import LikelyDraws, Truncation, draw_likeliest

MAX_EXPONENT = 700.0  # of what float64 can hold
NEXT_TO_NOTHING = 1e-20  # of a probability, so that it is below any other
LOGIT_ROWS = 64  # whose logits are in memory at a time, where a kernel does not reduce them


@dataclass(frozen=True, slots=True)
class SampledRows:
    """The rows that draw their token at random instead of taking the most likely one."""

    rows: Tensor  # [R] int64, indices into the step's masked rows
    temperature: Tensor  # [R] float32; rows of zero take the most likely token after all
    seeds: Tensor  # [R] int64
    positions: Tensor  # [R] int64
    steps: Tensor  # [R] int64
    truncation: Truncation | None = None

    def likely(self, truncation: Truncation) -> LikelyDraws:
        """How the rows of `truncation` are drawn."""
        which = truncation.which
        return LikelyDraws(
            self.temperature[which],
            self.seeds[which],
            self.positions[which],
            self.steps[which],
            truncation.top_k,
            truncation.top_p,
        )


@dataclass(frozen=True, slots=True)
class GuidedRows:
    """Rows whose logits l become u + (scale + 1)(l - u), u those of other hidden states.

    Classifier-free guidance as of LLaDA (Nie et al., 2025).
    """

    rows: Tensor  # [G] int64, indices into the step's masked rows
    hidden: Tensor  # [G, C]
    scale: Tensor  # [G] float32


@dataclass(frozen=True, slots=True)
class LastTokens:
    """Tokens that some rows are to be filled with last, such as the end of an answer.

    As `confidence_eos_eot_inf` of LLaDA (Nie et al., 2025, appendix B.4).
    """

    rows: Tensor  # [R] int64, indices into the step's masked rows
    tokens: Tensor  # [E] int64

    def rank(self, confidence: Tensor, token: Tensor, shares: Tensor) -> Tensor:
        """What all rows [M] are ranked by, where the tokens have `shares` [R] of the probability.

        It is the confidence as it would be without them. Where a row's token is of them it is next
        to nothing, but more the surer the token is.
        """
        own = confidence[self.rows]
        without = (own / (1.0 - shares).clamp_min(NEXT_TO_NOTHING)).clamp_max(1.0)
        is_last = torch.isin(token[self.rows], self.tokens)
        return confidence.index_copy(
            0, self.rows, torch.where(is_last, own * NEXT_TO_NOTHING, without)
        )


@dataclass(frozen=True, slots=True)
class RowScores:
    """Statistics of each row's distribution, without temperature.

    The mask token has its share of it, as in the references, but is none of the tokens that a row
    may have. Biases and forbidden tokens count. A row all of whose tokens are forbidden has token
    0, with confidence, entropy and margin 0.
    """

    token: Tensor  # [M] int64
    confidence: Tensor  # [M], probability of `token`; float32 of Triton's kernels, else float64
    entropy: Tensor | None  # [M], nats
    margin: Tensor | None  # [M], between the two highest probabilities
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32
    ranking: Tensor | None = None  # [M], what rows are ranked by, if not by their confidence


def score_rows(
    hidden: Tensor,
    head: Linear,
    *,
    mask_token_id: int,
    sampled: SampledRows | None = None,
    guided: GuidedRows | None = None,
    constraints: Constraints | None = None,
    last: LastTokens | None = None,
    with_entropy: bool = False,
    with_margin: bool = False,
    num_top: int = 0,
) -> RowScores:
    """Score masked rows `hidden` [M, C] under the LM `head` [V, C].

    The mask token is never chosen. Ties go to the lowest token id.
    """
    maker = _Logits(hidden, head, mask_token_id, guided)
    if uses_triton(hidden.device) and head.is_plain:
        return _score_pieces(maker, sampled, constraints, last, num_top)
    logits = maker()
    if constraints is not None:
        constrain(logits, constraints)
    of_mask = logits[:, mask_token_id].clone()
    logits[:, mask_token_id] = float("-inf")
    likely = _Likelihoods.of(logits, of_mask, with_entropy=with_entropy)
    token, best = likely.token, likely.best
    if sampled is not None:
        drawn = _draw(logits[sampled.rows], sampled)
        drawn = torch.where(sampled.temperature > 0, drawn, token[sampled.rows])
        token = token.index_copy(0, sampled.rows, drawn)
        best = best.index_copy(0, sampled.rows, logits[sampled.rows, drawn])
    margin = None
    if with_margin:
        first, second = logits.topk(2).values.unbind(-1)
        margin = likely.probability(first) - likely.probability(second)
    top_ids = top_logprobs = None
    if num_top:
        top, top_ids = likeliest(logits, num_top)
        top_logprobs = top - likely.log_norm[:, None]
    confidence, ranking = likely.probability(best), None
    if last is not None:
        shares = likely.probability(logits[:, last.tokens].T).sum(0)
        ranking = last.rank(confidence, token, shares[last.rows])
    return RowScores(token, confidence, likely.entropy, margin, top_ids, top_logprobs, ranking)


@dataclass(frozen=True, slots=True)
class _Likelihoods:
    """What tells probabilities that differ from one by less than float32 can say.

    Where nearly all positions are sure of their token, they are still filled in order.
    """

    token: Tensor  # [M] int64, the likeliest
    best: Tensor  # [M], its logit
    highest: Tensor  # [M], as `best`, but 0 where all tokens are forbidden
    total: Tensor  # [M] float64, of all likelihoods, with the likeliest token's as 1
    entropy: Tensor | None  # [M] float64, nats

    @classmethod
    def of(cls, logits: Tensor, of_mask: Tensor, *, with_entropy: bool) -> "_Likelihoods":
        """Those of rows `logits` [M, V] without the mask token's, which are `of_mask` [M]."""
        reduce = cpu_likelihoods.reduce_rows if uses_native(logits) else _reduce_rows
        token, best, others, below = reduce(logits, with_below=with_entropy)
        highest = _finite(best)
        fall = (highest - of_mask).double().clamp_min(-MAX_EXPONENT)
        masked = torch.where(best > float("-inf"), (-fall).exp(), 0.0)
        total = 1.0 + others + masked
        entropy = None
        if below is not None:
            below += torch.where(masked > 0, masked * fall, 0.0)
            entropy = total.log() + below / total
        return cls(token, best, highest, total, entropy)

    @property
    def log_norm(self) -> Tensor:
        """What log-probabilities are less than logits, [M] float32."""
        return (self.highest + self.total.log()).float()

    def probability(self, logit: Tensor) -> Tensor:
        """Of one token of each row, or of several, [..., M] float64."""
        return (logit.double() - self.highest).exp_() / self.total


def _reduce_rows(
    logits: Tensor, *, with_below: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Of rows [M, V] the likeliest token [M], its logit, and two sums [M] over the other tokens.

    The sums are float64: of likelihoods, with the likeliest token's as 1, and, if it is asked for,
    of those times how far a logit is below the highest.
    """
    best, token = logits.max(-1)
    highest = _finite(best)[:, None]
    others = (logits - highest).exp_().scatter_(1, token[:, None], 0.0)
    below = None
    if with_below:
        below = _row_sums(torch.where(others > 0, others * (highest - logits), 0.0))
    return token, best, _row_sums(others), below


def _finite(best: Tensor) -> Tensor:
    return best.masked_fill(best == float("-inf"), 0.0)


def _row_sums(x: Tensor) -> Tensor:
    """Sums [M] float64 of rows [M, V]; of a single one, torch's threads would share the sum."""
    rows = F.pad(x, (0, 0, 0, 1)) if len(x) == 1 else x
    return rows.sum(-1)[: len(x)].double()


def likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest of `logits` [M, V] and their ids [M, count], of equals the lowest first.

    torch's own choice among equals depends on the machine.
    """
    cut = logits.topk(count).values[:, -1:]
    rows, ids = (logits >= cut).nonzero(as_tuple=True)
    values = logits[rows, ids]
    order = values.argsort(descending=True, stable=True)
    order = order[rows[order].argsort(stable=True)]
    first = torch.searchsorted(rows, torch.arange(len(logits), device=rows.device))
    chosen = order[first[:, None] + torch.arange(count, device=rows.device)]
    return values[chosen], ids[chosen]


@dataclass(frozen=True, slots=True)
class _Logits:
    """Makes logits of some rows, or of all, with guidance."""

    hidden: Tensor  # [M, C]
    head: Linear
    mask_token_id: int
    guided: GuidedRows | None

    def __call__(self, rows: Tensor | None = None) -> Tensor:
        """Logits [R, V] of `rows` [R], float32."""
        logits = self._product(self.hidden if rows is None else self.hidden[rows])
        if self.guided is not None:
            index = torch.full((len(self.hidden),), -1, device=logits.device)
            index[self.guided.rows] = torch.arange(len(self.guided.rows), device=logits.device)
            index = index if rows is None else index[rows]
            which = index[index >= 0]
            without = self._product(self.guided.hidden[which])
            scale = self.guided.scale[which, None] + 1.0
            logits[index >= 0] = without + scale * (logits[index >= 0] - without)
        return logits

    def _product(self, hidden: Tensor) -> Tensor:
        return self.head(pad_rows(hidden))[: len(hidden)].float()


def _score_pieces(
    maker: _Logits,
    sampled: SampledRows | None,
    constraints: Constraints | None,
    last: LastTokens | None,
    num_top: int,
) -> RowScores:
    """Score rows without their logits in memory, but for some rows at a time that need them."""
    from unmask_kernels.scoring.gpu.scores import Draws, score_hidden, score_logits

    hidden, weight, mask_token_id = maker.hidden, maker.head.weight, maker.mask_token_id
    assert weight is not None
    draws = None
    if sampled is not None:
        temperature = sampled.temperature
        if sampled.truncation is not None:  # whose draws come later
            temperature = temperature.index_fill(0, sampled.truncation.which, 0.0)
        given = temperature, sampled.seeds, sampled.positions, sampled.steps
        draws = Draws(*(t.new_zeros(len(hidden)).index_copy_(0, sampled.rows, t) for t in given))
    found = score_hidden(hidden, weight, mask_token_id, draws, constraints, num_top)
    if maker.guided is not None:
        for rows in torch.split(maker.guided.rows, LOGIT_ROWS):
            own = None if draws is None else draws.of(rows)
            limits = None if constraints is None else constraints.of(rows)
            scores = score_logits(maker(rows), mask_token_id, own, limits, num_top)
            found.replace(rows, scores)
    if sampled is not None and sampled.truncation is not None:
        rows = sampled.rows[sampled.truncation.which]
        own_draws = sampled.likely(sampled.truncation)
        token, logit = _draw_pieces(maker, weight, rows, own_draws, constraints)
        found.token[rows] = token
        found.confidence[rows] = (logit - found.log_norm[rows]).exp()
    ranking = None
    if last is not None:
        shares = _shares(maker, last, found.log_norm, constraints)
        ranking = last.rank(found.confidence, found.token, shares)
    return RowScores(
        found.token,
        found.confidence,
        found.entropy,
        found.margin,
        found.top_ids,
        found.top_logprobs,
        ranking,
    )


def _shares(
    maker: _Logits, last: LastTokens, log_norm: Tensor, constraints: Constraints | None
) -> Tensor:
    """The probability [R] of the `last` tokens together, some rows' logits at a time."""
    found = [log_norm[:0]]
    for rows in torch.split(last.rows, LOGIT_ROWS):
        logits = maker(rows)
        if constraints is not None:
            constrain(logits, constraints.of(rows))
        found.append((logits[:, last.tokens] - log_norm[rows, None]).exp().sum(-1))
    return torch.cat(found)


def _draw_pieces(
    maker: _Logits,
    weight: Tensor,
    rows: Tensor,
    draws: LikelyDraws,
    constraints: Constraints | None,
) -> tuple[Tensor, Tensor]:
    """Tokens of the truncated `rows` [C] and their logits, some rows' logits at a time."""
    from unmask_kernels.scoring.gpu.truncation import draw_hidden, draw_logits

    limits = None if constraints is None else constraints.of(rows)
    if maker.guided is None:
        return draw_hidden(maker.hidden[rows], weight, maker.mask_token_id, draws, limits)
    found = []
    for first in range(0, len(rows), LOGIT_ROWS):
        some = slice(first, first + LOGIT_ROWS)
        own = None if constraints is None else constraints.of(rows[some])
        found.append(draw_logits(maker(rows[some]), maker.mask_token_id, draws.part(some), own))
    return torch.cat([token for token, _ in found]), torch.cat([logit for _, logit in found])


def _draw(logits: Tensor, sampled: SampledRows) -> Tensor:
    """Gumbel-max sampling of `logits` [R, V] after temperature, top-k and top-p."""
    truncation = sampled.truncation
    if truncation is None:
        return _draw_of_all(logits, sampled, slice(None))
    rest = torch.ones_like(sampled.rows, dtype=torch.bool)
    rest[truncation.which] = False
    token = torch.empty_like(sampled.rows)
    token[rest] = _draw_of_all(logits[rest], sampled, rest)
    own = sampled.likely(truncation)
    token[truncation.which] = draw_likeliest(logits[truncation.which], own)
    return token


def _draw_of_all(logits: Tensor, sampled: SampledRows, some: Tensor | slice) -> Tensor:
    seeds, positions, steps = sampled.seeds[some], sampled.positions[some], sampled.steps[some]
    noise = gumbel_noise(seeds, positions, steps, logits.shape[1])
    return (logits / sampled.temperature[some, None] + noise).argmax(-1)
