"""Inputs and results of scoring: random draws, guidance, statistics of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.philox import gumbel_noise

# Integer mass of the most likely token in sums of probabilities: integer sums do not depend on
# their order, so that neither other rows nor the split of the work can move a boundary.
UNIT = 1 << 40
LEAST_TEMPERATURE = 1e-6  # of filters, which multiply distances of up to 1e30 by its inverse
NEXT_TO_NOTHING = 1e-20  # a probability below any other


@dataclass(frozen=True, slots=True)
class Truncation:
    """Filters of tokens of C draws: min-p, then top-k, then top-p of the rest, as in vLLM.

    A new filter is a field here with its value in `OFF`, read by `scoring/truncation.py` and
    `scoring/gpu/truncation.py`.
    """

    which: Tensor | None  # [C] int64, indices into the draws; None: every draw
    top_k: Tensor  # [C] int64; vocabulary size where off
    top_p: Tensor  # [C] float32; 1 where off
    min_p: Tensor  # [C] float32, of the likeliest token's probability; 0 where off


FILTERS = tuple(field.name for field in fields(Truncation) if field.name != "which")
# None: the vocabulary's size.
OFF: Mapping[str, float | None] = {"top_k": None, "top_p": 1.0, "min_p": 0.0}


def truncates(columns: npt.NDArray[np.void], vocab_size: int) -> npt.NDArray[np.bool_]:
    """True where a filter, a column by its field's name, leaves tokens out."""
    is_on = np.zeros(len(columns), np.bool_)
    for name in FILTERS:
        off = OFF[name]
        is_on |= columns[name] != (vocab_size if off is None else off)
    return is_on


@dataclass(frozen=True, slots=True)
class Draws:
    """Gumbel-max draws of R rows (Gumbel, 1954): functions of seed, position and step alone."""

    temperature: Tensor  # [R] float32; rows of zero take their most likely token
    seeds: Tensor  # [R] int64
    positions: Tensor  # [R] int64
    steps: Tensor  # [R] int64
    rows: Tensor | None = None  # [R] int64, indices into the step's masked rows; None: all of them
    truncation: Truncation | None = None
    spread: Tensor | None = None  # [R] float32, multiplies the noise, as a second temperature

    @property
    def _filtered_at(self) -> Tensor:
        """Temperature [R] of the distribution that is drawn from, for filters."""
        spread = 1.0 if self.spread is None else self.spread
        return (self.temperature * spread).clamp_min(LEAST_TEMPERATURE)

    @property
    def inverse_temperature(self) -> Tensor:
        """Factor [R] of distances between logits by which filters sum probabilities."""
        return 1.0 / self._filtered_at

    @property
    def margin(self) -> Tensor:
        """Distance [C], not above zero, from the highest logit to the lowest that min-p leaves."""
        assert self.truncation is not None
        assert self.truncation.which is None
        return self.truncation.min_p.log() * self._filtered_at

    def noise(self, first: int, count: int) -> Tensor:
        """Standard Gumbel noise [R, count] of the entries from `first`, a multiple of four."""
        return gumbel_noise(self.seeds, self.positions, self.steps, count, first=first)

    def select(self, rows: Tensor | slice) -> "Draws":
        """Draws of some of these rows, by indices, a mask or a slice; a truncation must cover all.

        Indices into the step's masked rows are dropped.
        """
        truncation = self.truncation
        if truncation is not None:
            assert truncation.which is None
            filters = (getattr(truncation, name)[rows] for name in FILTERS)
            truncation = Truncation(None, *filters)
        return Draws(
            self.temperature[rows],
            self.seeds[rows],
            self.positions[rows],
            self.steps[rows],
            truncation=truncation,
            spread=None if self.spread is None else self.spread[rows],
        )

    def select_truncated(self) -> "Draws":
        """The C draws of `truncation`, which then covers all of them."""
        truncation = self.truncation
        assert truncation is not None
        if truncation.which is None:
            return self
        chosen = replace(self, truncation=None).select(truncation.which)
        return replace(chosen, truncation=replace(truncation, which=None))

    def scatter(self, num_rows: int) -> "Draws":
        """Draws of all `num_rows` masked rows; others, and truncated ones, at temperature zero."""
        temperature = self.temperature
        if self.truncation is not None:
            which = self.truncation.which
            assert which is not None
            temperature = temperature.index_fill(0, which, 0.0)
        vectors = temperature, self.seeds, self.positions, self.steps
        if self.rows is None:
            return Draws(*vectors)
        temperature, seeds, positions, steps = (
            vector.new_zeros(num_rows).index_copy_(0, self.rows, vector) for vector in vectors
        )
        return Draws(temperature, seeds, positions, steps)


@dataclass(frozen=True, slots=True)
class GuidedRows:
    """Rows whose logits l become u + (scale + 1)(l - u), u those of other hidden states.

    Classifier-free guidance of LLaDA (Nie et al., 2025).
    """

    rows: Tensor  # [G] int64, indices into the step's masked rows
    hidden: Tensor  # [G, C]
    scale: Tensor  # [G] float32


@dataclass(frozen=True, slots=True)
class LastTokens:
    """Tokens to fill some rows with last, such as the end of an answer.

    LLaDA's `confidence_eos_eot_inf` (Nie et al., 2025, appendix B.4).
    """

    rows: Tensor  # [R] int64, indices into the step's masked rows
    tokens: Tensor  # [E] int64

    def rank(self, confidence: Tensor, token: Tensor, mass: Tensor) -> Tensor:
        """Ranking [M] of all rows, where the last tokens have the probability `mass` [R].

        It is the confidence renormalised without these tokens. A row whose token is one of them
        ranks next to nothing, higher the surer the token is.
        """
        plain = confidence[self.rows]
        without = (plain / (1.0 - mass).clamp_min(NEXT_TO_NOTHING)).clamp_max(1.0)
        is_last = torch.isin(token[self.rows], self.tokens)
        return confidence.index_copy(
            0, self.rows, torch.where(is_last, plain * NEXT_TO_NOTHING, without)
        )


@dataclass(frozen=True, slots=True)
class RowStats:
    """Tokens of M rows and statistics of their distributions, without temperature.

    The mask token has its probability, as in the references, but is never a row's token. Biases and
    forbidden tokens count. A row all of whose tokens are forbidden has token 0, and confidence,
    entropy and margin 0.
    """

    token: Tensor  # [M] int64
    confidence: Tensor  # [M], probability of `token`; float32 of Triton's kernels, else float64
    entropy: Tensor | None  # [M], nats
    margin: Tensor | None  # [M], between the two highest probabilities
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32
    ranking: Tensor | None = None  # [M], policies rank by it; None: by the confidence
    log_norm: Tensor | None = None  # [M] float32, logit minus log-probability; 0 if all forbidden
    given_logprobs: Tensor | None = None  # [M] float32, of rows whose token is given
    given_ranks: Tensor | None = None  # [M] int64, the same

    def with_given(self, rows: Tensor, tokens: Tensor, logprobs: Tensor, ranks: Tensor) -> Self:
        """The statistics with `tokens` [R] in place of those of `rows` [R]."""
        confidence, none = self.confidence, torch.zeros_like(self.token)
        return replace(
            self,
            token=self.token.index_copy(0, rows, tokens),
            confidence=confidence.index_copy(0, rows, logprobs.exp().to(confidence.dtype)),
            given_logprobs=none.float().index_copy(0, rows, logprobs),
            given_ranks=none.index_copy(0, rows, ranks),
        )

    def overwrite(self, rows: Tensor, other: "RowStats") -> None:
        """Overwrite the statistics of `rows` [R] that `other` has in place."""
        for field in fields(self):
            values, own = getattr(self, field.name), getattr(other, field.name)
            if values is not None and own is not None:
                values[rows] = own.to(values.dtype)
