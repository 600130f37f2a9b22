"""Grammars on canvases of noise: a step's draft is the likeliest text that matches.

No position is known before a canvas is final, and masks of single positions could not agree with
each other. So the draft is the path of largest probability through the grammar, and the draws, of
which the next step sees the accepted ones, are the path of the largest sum of logits with noise
(perturb-and-MAP, Papandreou and Yuille, 2011). The last draft is the answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.run.class_tables import PerGrammar
from unmask.engine.run.noise import Follow
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.batch import DecodingArrays, StepBatch
from unmask.engine.schedule.structure import Part
from unmask.models.family import CanvasModel
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.scoring.ops import LOGIT_ROWS
from unmask_kernels.scoring.truncation import keep_likeliest
from unmask_kernels.scoring.types import FILTERS, Draws, Truncation, truncates

GROUP = 64  # tokens
LOWEST = -1e30  # in place of logits that are not finite, so that there is a path in any case
OUTSIDE = 1e4  # taken from tokens that filters leave out: these stand where no others can


@dataclass(frozen=True, slots=True)
class TokenGroups:
    """Tokens of a grammar's classes, in G groups of one class each; the last of a class repeat."""

    tokens: Tensor  # [G GROUP] int32
    classes: Tensor  # [G] int64

    @classmethod
    def of(cls, automaton: TokenAutomaton, staging: Staging) -> "TokenGroups":
        """The groups on the device, without tokens that no state allows."""
        by_class = np.argsort(automaton.class_of, kind="stable").astype(np.int32)
        ends = np.searchsorted(automaton.class_of[by_class], np.arange(automaton.num_classes + 1))
        counts = -(-np.diff(ends) // GROUP)
        counts[0] = 0
        classes = np.repeat(np.arange(automaton.num_classes), counts)
        groups = np.arange(len(classes)) - (counts.cumsum() - counts)[classes]  # within a class
        places = (ends[classes] + groups * GROUP)[:, None] + np.arange(GROUP)
        places = np.minimum(places, ends[classes + 1][:, None] - 1)
        return cls(*staging.to_device([by_class[places].ravel(), classes]))


@dataclass(frozen=True, slots=True)
class GroupScores:
    """The best token of each group for L rows, before the host has chosen a class for each."""

    groups: TokenGroups
    scores: Tensor  # [L, G] float32, finite
    which: Tensor  # [L, G] uint8, of the group's tokens
    norm: Tensor  # [L] float32, of the logits

    @classmethod
    def of_rows(
        cls,
        logits_of: Callable[[Tensor], Tensor],
        rows: Tensor,
        groups: TokenGroups,
        draws: Draws | None = None,
    ) -> "GroupScores":
        """Logits of `rows` [L, C], at temperature and with noise if there are `draws`."""
        parts = []
        for first in range(0, len(rows), LOGIT_ROWS):
            some = slice(first, first + LOGIT_ROWS)
            logits = logits_of(rows[some])
            norm = logits.logsumexp(-1)
            logits = logits.nan_to_num(LOWEST, -LOWEST, LOWEST)
            if draws is not None:
                logits = _with_noise(logits, draws.select(some))
            grouped = logits.index_select(1, groups.tokens).view(len(logits), -1, GROUP)
            scores, which = grouped.max(-1)
            parts.append((scores, which.to(torch.uint8), norm))
        return cls(groups, *map(torch.cat, zip(*parts, strict=True)))

    def best_of_classes(self, num_classes: int) -> Tensor:
        """The best score [L, C] of each class, `LOWEST` of those without tokens."""
        best = self.scores.new_full((len(self.scores), num_classes), LOWEST)
        classes = self.groups.classes.expand_as(self.scores)
        return best.scatter_reduce_(1, classes, self.scores, "amax")

    def best_of_class(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """The best tokens [L] of the classes `wanted` [L], and their probabilities among all.

        The latter have no meaning where there is noise.
        """
        is_other = self.groups.classes != wanted[:, None]
        scores, group = self.scores.masked_fill(is_other, -torch.inf).max(-1)
        place = group * GROUP + self.which.gather(1, group[:, None])[:, 0]
        return self.groups.tokens[place].long(), (scores - self.norm).exp()


class GrammarPaths:
    """Drafts and draws of canvases with a grammar."""

    def __init__(self, model: CanvasModel, staging: Staging, vocab_size: int) -> None:
        self._model, self._vocab_size = model, vocab_size
        self._groups = PerGrammar(lambda automaton: TokenGroups.of(automaton, staging))

    def follow(self, batch: StepBatch) -> Follow | None:
        """Change of a step's scores; None if no canvas of it has a grammar."""
        if not batch.decoding.columns["is_structured"].any():
            return None

        def change(rows: Tensor, scores: CanvasScores, draws: Draws) -> CanvasScores:
            return self._changed(batch, rows, scores, draws)

        return change

    def _changed(
        self, batch: StepBatch, rows: Tensor, scores: CanvasScores, draws: Draws
    ) -> CanvasScores:
        """Scores with the paths; waits for the device."""
        found = list[tuple[slice, Part, GroupScores, GroupScores | None]]()
        for i, own, part in _parts(batch):
            of_rows = self._model.logits, rows[own], self._groups.of(part.automaton)
            noisy = None
            if batch.decoding.draws[i]:
                truncation = self._filters(batch.decoding, i, rows[own])
                noise = replace(draws.select(own), truncation=truncation)
                noisy = GroupScores.of_rows(*of_rows, noise)
            found.append((own, part, GroupScores.of_rows(*of_rows), noisy))
        best, drawn = scores.best.clone(), scores.drawn.clone()
        confidence = scores.confidence.clone()
        for own, part, plain, noisy in found:
            best[own], confidence[own] = _path(part, plain)
            drawn[own] = best[own] if noisy is None else _path(part, noisy)[0]
        return replace(scores, best=best, confidence=confidence, drawn=drawn)

    def _filters(self, decoding: DecodingArrays, i: int, rows: Tensor) -> Truncation | None:
        """Filters of one canvas, for its `rows` [L, C]; None without any."""
        columns = decoding.columns[i : i + 1]
        if not truncates(columns, self._vocab_size).any():
            return None
        filters = (torch.from_numpy(columns[name].copy()).to(rows.device) for name in FILTERS)
        return Truncation(None, *(values.expand(len(rows)) for values in filters))


def _parts(batch: StepBatch) -> Iterator[tuple[int, slice, Part]]:
    """Canvases with a grammar, by number, with their rows up to the limit of tokens."""
    for i in batch.decoding.columns["is_structured"].nonzero()[0].tolist():
        structure = batch.denoised[i].sequence.structure
        assert structure is not None, "the request has a grammar"
        opened = structure.only.opened
        first = int(batch.scored_starts[i])
        yield i, slice(first, first + opened.end - opened.start), structure.only


def _path(part: Part, scores: GroupScores) -> tuple[Tensor, Tensor]:
    highest = scores.best_of_classes(part.automaton.num_classes).cpu().numpy()
    return scores.best_of_class(torch.from_numpy(part.likeliest(highest)).to(scores.scores.device))


def _with_noise(logits: Tensor, draws: Draws) -> Tensor:
    """Logits [R, V] at temperature, with noise, less `OUTSIDE` where filters leave tokens out."""
    assert draws.spread is not None
    noise = draws.spread[:, None] * draws.noise(0, logits.shape[1])
    scores = logits / draws.temperature[:, None] + noise
    if draws.truncation is not None:
        scores -= torch.where(keep_likeliest(logits, draws), 0.0, OUTSIDE)
    return scores
