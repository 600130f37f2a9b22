"""Blocks of a step together: the same as each alone, in C as in NumPy."""

from random import Random

import numpy as np
import pytest

from tests.support.automata import EOS, TOKENS, automaton_of
from unmask.decoding.automata.blocks import Block, StepBlocks
from unmask.decoding.automata.sets import MASKED

PATTERNS = (r"\{(a|b)+(,1)?\}", "(ab)*", r"(\{a*(,[b1]{0,5})*\}){1,3}", "(a|b){0,12}1")
MADE = [automaton_of(pattern) for pattern in PATTERNS]


def step_of(random: Random, *, uses_c: bool) -> tuple[StepBlocks, list[int]]:
    """Blocks with up to 5 rows each, some before and behind the block, and the rows' positions."""
    blocks, rows, positions = list[Block](), list[tuple[int, ...]](), list[int]()
    for i in range(6):
        made, length = random.choice(MADE), random.randint(1, 9)
        classes, editable = np.full(length, MASKED, np.int32), np.full(length, i % 3 == 0)
        start, count = random.randint(0, 90), random.randint(0, 5)
        block = Block(made, 1, classes, 30, editable, uses_c=uses_c)
        around = range(start - 2, start + length + 2)
        blocks.append(block)
        first = len(positions)
        positions += random.sample(around, min(count, len(around)))
        rows.append((block.address, start, first, len(positions), MADE.index(made)))
    return StepBlocks(blocks, np.array(rows, np.int64)), positions


def masks_of(step: StepBlocks, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    words = np.zeros((len(positions), max(made.num_words for made in MADE)), np.uint32)
    grammars = np.full(len(positions), -1, np.int32)
    step.write_masks(positions, words, grammars)
    return grammars, words


@pytest.mark.parametrize("seed", range(40))
def test_c_and_numpy_agree_on_the_blocks_of_a_step(seed: int) -> None:
    found = []
    for uses_c in (True, False):
        random = Random(seed)
        step, own = step_of(random, uses_c=uses_c)
        positions = np.array(own, np.int64)
        tokens = np.array([random.randrange(EOS + 1) for _ in own], np.int64)
        seen = [*masks_of(step, positions), step.accept(positions, tokens), *step.fill_forced()]
        grammars, words = masks_of(step, positions)
        # Of the other blocks, positions that have a token now are asked for no more.
        is_editable = np.searchsorted(step.table[:, 3], np.arange(len(own)), side="right") % 3 == 0
        seen += [grammars, words[is_editable]]
        found.append(seen)
    for ours, reference in zip(*found, strict=True):
        assert np.array_equal(ours, reference)


@pytest.mark.parametrize("uses_c", [True, False])
def test_rows_outside_of_a_block_are_left_alone(uses_c: bool) -> None:
    block = Block(MADE[1], 1, np.full(2, MASKED, np.int32), 0, uses_c=uses_c)
    step = StepBlocks((block,), np.array([[block.address, 10, 0, 3, 7]], np.int64))
    positions = np.array([9, 11, 12])
    grammars, words = masks_of(step, positions)
    assert grammars.tolist() == [-1, 7, -1]
    assert words.any(axis=1).tolist() == [False, True, False]
    assert step.accept(positions, np.full(3, TOKENS.index(b"b"))).tolist() == [True, True, True]
    assert step.fill_forced()[1].tolist() == [10]
