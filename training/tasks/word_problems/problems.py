"""Short stories about quantities, answered with worked steps."""

from collections.abc import Callable

from training.tasks.problem import Problem
from training.tasks.word_problems import compare as word_compare
from training.tasks.word_problems import measures as word_measures
from training.tasks.word_problems import money as word_money
from training.tasks.word_problems import more as word_more
from training.tasks.word_problems import parts as word_parts
from training.tasks.word_problems import products as word_products
from training.tasks.word_problems import sums as word_sums
from training.wordings import Draw

KINDS: dict[Callable[[Draw], Problem], float] = {
    word_sums.gain: 1.2,
    word_sums.loss: 1.8,
    word_sums.spent: 0.6,
    word_sums.trade: 1.3,
    word_sums.together: 1.0,
    word_compare.compare: 0.8,
    word_compare.related_amount: 0.6,
    word_compare.needed: 0.4,
    word_compare.age: 1.0,
    word_compare.crowd: 0.8,
    word_parts.parts_and_wholes: 0.8,
    word_products.boxes: 1.2,
    word_products.rate: 0.7,
    word_products.share: 1.0,
    word_products.times_as_many: 0.5,
    word_products.legs: 0.5,
    word_money.cost: 1.3,
    word_money.change: 0.9,
    word_more.all_but: 0.2,
    word_more.unknown_change: 0.6,
    word_more.halved: 0.4,
    word_more.proportion: 0.4,
    word_more.more_together: 0.3,
    word_more.discount: 0.4,
    word_more.coins: 0.3,
    word_more.legs_of_two: 0.3,
    word_more.times_as_old: 0.3,
    word_measures.motion: 0.8,
    word_measures.rectangle: 0.6,
}
"""Kinds of stories and how often each is told."""


def word_problem(draw: Draw) -> Problem:
    """Solve a story of one or two operations."""
    (kind,) = draw.rng.choices(list(KINDS), list(KINDS.values()))
    return kind(draw)
