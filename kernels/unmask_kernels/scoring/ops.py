"""From hidden states of masked positions to a token and its statistics, one row each."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.scoring import reference
from unmask_kernels.scoring.constraints import Constraints, constrain
from unmask_kernels.scoring.types import Draws, GuidedRows, LastTokens, RowStats

LOGIT_ROWS = 64  # in memory at a time, where a kernel does not reduce them


def score_rows(
    hidden: Tensor,
    head: Linear,
    *,
    mask_token_id: int,
    draws: Draws | None = None,
    guided: GuidedRows | None = None,
    constraints: Constraints | None = None,
    last: LastTokens | None = None,
    with_entropy: bool = False,
    with_margin: bool = False,
    num_top: int = 0,
) -> RowStats:
    """Score masked rows `hidden` [M, C] under the LM `head` [V, C].

    The mask token is never chosen. Ties go to the lowest token id.
    """
    make_logits = _Logits(hidden, head, mask_token_id, guided)
    if uses_triton(hidden.device) and head.is_plain:
        return _score_in_slices(make_logits, draws, constraints, last, num_top)
    logits = make_logits()
    if constraints is not None:
        constrain(logits, constraints)
    return reference.score_logits(
        logits,
        mask_token_id,
        draws,
        last=last,
        with_entropy=with_entropy,
        with_margin=with_margin,
        num_top=num_top,
    )


@dataclass(frozen=True, slots=True)
class _Logits:
    """Computes logits of some rows, or of all, with guidance."""

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


def _score_in_slices(
    make_logits: _Logits,
    draws: Draws | None,
    constraints: Constraints | None,
    last: LastTokens | None,
    num_top: int,
) -> RowStats:
    """Score rows with logits of a slice of the vocabulary in memory, of few rows at most whole."""
    from unmask_kernels.scoring.gpu.scores import score_hidden, score_logits

    hidden, weight = make_logits.hidden, make_logits.head.weight
    mask_token_id = make_logits.mask_token_id
    assert weight is not None
    of_all = None if draws is None else draws.scatter(len(hidden))
    stats = score_hidden(hidden, weight, mask_token_id, of_all, constraints, num_top)
    assert stats.log_norm is not None
    if make_logits.guided is not None:
        for rows in torch.split(make_logits.guided.rows, LOGIT_ROWS):
            logits = make_logits(rows)
            row_draws = None if of_all is None else of_all.select(rows)
            row_constraints = None if constraints is None else constraints.select(rows)
            guided = score_logits(logits, mask_token_id, row_draws, row_constraints, num_top)
            stats.overwrite(rows, guided)
    if draws is not None and draws.truncation is not None:
        truncated, which = draws.select_truncated(), draws.truncation.which
        assert which is not None
        rows = which if draws.rows is None else draws.rows[which]
        token, logit = _draw_truncated(make_logits, weight, rows, truncated, constraints)
        stats.token[rows] = token
        stats.confidence[rows] = (logit - stats.log_norm[rows]).exp()
    if last is None:
        return stats
    mass = _mass(make_logits, last, stats.log_norm, constraints)
    return replace(stats, ranking=last.rank(stats.confidence, stats.token, mass))


def _mass(
    make_logits: _Logits, last: LastTokens, log_norm: Tensor, constraints: Constraints | None
) -> Tensor:
    """The probability [R] of the `last` tokens together, some rows' logits at a time."""
    masses = [log_norm[:0]]
    for rows in torch.split(last.rows, LOGIT_ROWS):
        logits = make_logits(rows)
        if constraints is not None:
            constrain(logits, constraints.select(rows))
        masses.append((logits[:, last.tokens] - log_norm[rows, None]).exp().sum(-1))
    return torch.cat(masses)


def _draw_truncated(
    make_logits: _Logits,
    weight: Tensor,
    rows: Tensor,
    draws: Draws,
    constraints: Constraints | None,
) -> tuple[Tensor, Tensor]:
    """Tokens of the truncated `rows` [C] and their logits, some rows' logits at a time."""
    from unmask_kernels.scoring.gpu.truncation import draw_hidden, draw_logits

    mask_token_id = make_logits.mask_token_id
    if make_logits.guided is None:
        selected = None if constraints is None else constraints.select(rows)
        return draw_hidden(make_logits.hidden[rows], weight, mask_token_id, draws, selected)
    tokens, token_logits = [], []
    for first in range(0, len(rows), LOGIT_ROWS):
        chunk = slice(first, first + LOGIT_ROWS)
        selected = None if constraints is None else constraints.select(rows[chunk])
        token, logit = draw_logits(
            make_logits(rows[chunk]), mask_token_id, draws.select(chunk), selected
        )
        tokens.append(token)
        token_logits.append(logit)
    return torch.cat(tokens), torch.cat(token_logits)
