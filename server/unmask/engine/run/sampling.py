"""Samples a token for each scored row and applies each block's policy."""

from dataclasses import replace

import torch
from torch import Tensor

from unmask.engine.run.inputs import RandomOrder, SamplingInputs, SamplingOptions
from unmask.engine.run.traces import TraceMarks
from unmask.models.family import Model
from unmask_kernels.policies.ops import Rules, Scores, select
from unmask_kernels.scoring.given import score_given
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.types import NEXT_TO_NOTHING, RowStats


def sample(
    model: Model,
    hidden: Tensor,
    current: Tensor,
    inputs: SamplingInputs,
    options: SamplingOptions,
    *,
    mask_token_id: int,
    is_known: bool,
) -> tuple[RowStats, Tensor]:
    """Statistics of `hidden` [M, C], and the positions [M] that take their token.

    `current` [M] are the tokens that rows hold. Rows that an earlier step resolved keep theirs.
    With `is_known` there are none: every scored row is masked or may be edited. Rows of an answer
    that is given have its tokens.
    """
    rules, normed = inputs.rules(options), model.final_norm(hidden)
    scores = _scores(model, normed, inputs, options, rules, mask_token_id)
    is_masked = current.eq(mask_token_id) if options.edits or not is_known else None
    marks = None
    if options.traces is not None:
        marks = options.traces.update(
            normed, scores, model.lm_head, options.constraints, mask_token_id, is_masked
        )
    candidates = _candidates(scores, inputs, options, is_masked, marks)
    selected = select(candidates, rules)
    if options.best_of_all is not None:
        selected |= options.best_of_all.select(candidates)
    if is_masked is None:
        return scores, selected
    selected &= is_masked
    if options.edits:
        threshold = inputs.editing_threshold[inputs.spans]
        selected |= edits(scores, current, threshold) & ~is_masked
        if options.order is not None and options.order.keeping is not None:
            is_lost = _loses(options.order, options.order.keeping, inputs, marks) & ~is_masked
            scores = replace(scores, token=scores.token.masked_fill(is_lost, mask_token_id))
            selected |= is_lost
    return scores, selected


def _scores(
    model: Model,
    normed: Tensor,
    inputs: SamplingInputs,
    options: SamplingOptions,
    rules: Rules,
    mask_token_id: int,
) -> RowStats:
    """A token for each row and its statistics, of a given answer its own token."""
    scores = score_rows(
        normed,
        model.lm_head,
        mask_token_id=mask_token_id,
        draws=inputs.draws(options.truncation),
        guided=options.guided,
        constraints=options.constraints,
        last=options.last,
        with_entropy=rules.reads("entropy"),
        with_margin=rules.reads("margin"),
        num_top=options.num_top,
    )
    if (given := options.given) is None:
        return scores
    of_given = score_given(
        normed[given.rows], model.lm_head, given.tokens, mask_token_id=mask_token_id
    )
    return scores.with_given(given.rows, given.tokens, *of_given)


def _candidates(
    scores: RowStats,
    inputs: SamplingInputs,
    options: SamplingOptions,
    is_masked: Tensor | None,
    marks: TraceMarks | None,
) -> Scores:
    """The statistics by which policies choose rows, with all that changes their order."""
    if inputs.penalties is not None and scores.entropy is not None:
        scores = replace(scores, entropy=scores.entropy + inputs.penalties)
    candidates = replace(
        policy_scores(scores, inputs.spans, len(inputs.starts), is_masked),
        positions=inputs.positions,
        is_stable=None if marks is None else marks.is_stable,
    )
    if options.order is None:
        return candidates
    return ordered_at_random(candidates, options.order, is_masked)


def _loses(
    order: RandomOrder, keeping: Tensor, inputs: SamplingInputs, marks: TraceMarks | None
) -> Tensor:
    """True for rows [M] whose token would be masked again (ReMDM)."""
    bound = keeping[inputs.spans]
    if marks is not None:
        bound = shared(bound, marks.shares)
    return order.noise(inputs.spans, inputs.positions) < bound


def edits(scores: RowStats, current: Tensor, threshold: Tensor) -> Tensor:
    """Committed tokens [M] that a more confident one than `threshold` replaces (LLaDA2.1)."""
    return (scores.token != current) & (scores.confidence > threshold)


def shared(keeping: Tensor, shares: Tensor) -> Tensor:
    """Gumbel noise [M] that keeps a token which is lost with a share [M] of a bound's chance.

    Noise is below a bound b with the chance exp(-exp(-b)).
    """
    chance = shares.double() * (-(-keeping.double()).exp()).exp()
    return torch.where(shares < 1.0, -(-chance.log()).log(), keeping).float()


def ordered_at_random(scores: Scores, order: RandomOrder, is_masked: Tensor | None) -> Scores:
    """The scores with noise, and where a block has a temperature, statistics with it added.

    The highest of log-weights with Gumbel noise are a draw without replacement (Kool et al., 2019),
    as Dream takes from softmax(confidence / `alg_temp`).
    """
    assert scores.positions is not None
    noise = order.noise(scores.block, scores.positions)
    if is_masked is not None:
        noise = torch.where(is_masked, noise, -torch.inf)
    temperature = order.temperature[scores.block]
    shift = torch.where(temperature > 0, temperature * noise, 0.0)
    bound = order.bounds[scores.block]
    noise = torch.where(noise > -torch.inf, noise - bound, noise)

    entropy = None if scores.entropy is None else scores.entropy - shift
    margin = None if scores.margin is None else scores.margin + shift
    return replace(
        scores, confidence=scores.confidence + shift, entropy=entropy, margin=margin, noise=noise
    )


def policy_scores(
    scores: RowStats, spans: Tensor, num_blocks: int, is_masked: Tensor | None
) -> Scores:
    """Statistics for the policies; `spans` [M] are the blocks of rows, each below `num_blocks`.

    Resolved rows have no confidence and no certainty.
    """
    confidence, entropy, margin = scores.confidence, scores.entropy, scores.margin
    if scores.ranking is not None:
        ranking = scores.ranking
        if is_masked is not None:
            ranking = torch.where(is_masked, ranking, -1.0)
        highest = ranking.new_zeros(num_blocks)
        highest.scatter_reduce_(0, spans, ranking, "amax")
        # Where nothing but last tokens is left in a block, they are filled like any others.
        confidence = torch.where(highest[spans] > NEXT_TO_NOTHING, ranking, confidence)
    if is_masked is not None:
        confidence = torch.where(is_masked, confidence, -1.0)
        entropy = None if entropy is None else torch.where(is_masked, entropy, torch.inf)
        margin = None if margin is None else torch.where(is_masked, margin, -1.0)
    return Scores(spans, confidence, entropy, margin)
