"""Masks of blocks against enumeration of all answers; C against NumPy; random fills end valid."""

import itertools
import re
from random import Random

import numpy as np
import pytest

from tests.support.automata import (
    BYTES,
    EOS,
    SMALL,
    TOKENS,
    allowed_tokens,
    automaton_of,
    denoise,
    words,
)
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.blocks import Block
from unmask.decoding.automata.constraint import Constraint
from unmask.decoding.automata.sets import MASKED

PATTERNS = (r"\{(a|b)+(,1)?\}", "(ab)*", "a{2,3}b?", "(a|ab|b1)(2|12)?")
MADE = {pattern: automaton_of(pattern) for pattern in PATTERNS}
CASES = [
    (pattern, length, room)
    for pattern in PATTERNS
    for length, room in itertools.product((1, 2, 3), (0, 1, 2))
    if length + room < 5
]


def block_of(
    made: TokenAutomaton, length: int, room: int, *, uses_c: bool, fixed: dict[int, int]
) -> Block:
    classes = np.full(length, MASKED, np.int32)
    for position, token in fixed.items():
        classes[position] = made.class_of[token]
    return Block(made, 1, classes, room, uses_c=uses_c)


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize(("pattern", "length", "room"), CASES)
def test_masks_are_the_tokens_of_all_answers(
    pattern: str, length: int, room: int, uses_c: bool
) -> None:
    made = MADE[pattern]
    answers = words(pattern, TOKENS, length, room)
    random = Random(0)
    fillings: list[dict[int, int]] = [{}]
    for answer in random.sample(sorted(answers), min(len(answers), 6)):
        subsets = itertools.chain.from_iterable(
            itertools.combinations(range(length), n) for n in range(length + 1)
        )
        fillings += [{i: answer[i] for i in subset} for subset in subsets]
    for fixed in fillings:
        block = block_of(made, length, room, uses_c=uses_c, fixed=fixed)
        possible = {a for a in answers if all(a[i] == token for i, token in fixed.items())}
        assert block.is_possible == bool(possible)
        for i, mask in enumerate(block.masks()):
            if i not in fixed:
                assert allowed_tokens(made, mask) == {answer[i] for answer in possible}


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_choices_are_taken_in_order_while_an_answer_has_them(pattern: str, uses_c: bool) -> None:
    made, length, room = MADE[pattern], 3, 1
    answers = words(pattern, TOKENS, length, room)
    random = Random(1)
    for _ in range(40):
        block = block_of(made, length, room, uses_c=uses_c, fixed={})
        positions = random.sample(range(length), length)
        tokens = [random.choice(sorted({answer[i] for answer in answers})) for i in positions]
        possible, expected = answers, []
        for i, token in zip(positions, tokens, strict=True):
            kept = {answer for answer in possible if answer[i] == token}
            expected.append(bool(kept))
            possible = kept or possible
        accepted = block.accept(np.array(positions), np.array(tokens))
        assert accepted.tolist() == expected
        forced = {i: {answer[i] for answer in possible} for i in range(length)}
        taken = {i for i, is_taken in zip(positions, accepted, strict=True) if is_taken}
        filled = dict(zip(*(x.tolist() for x in block.fill_forced()), strict=True))
        assert filled == {
            i: min(tokens) for i, tokens in forced.items() if i not in taken and len(tokens) == 1
        }


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_committed_token_may_be_replaced(pattern: str, uses_c: bool) -> None:
    made, length, room = MADE[pattern], 3, 1
    answers = words(pattern, TOKENS, length, room)
    random = Random(2)
    for answer in random.sample(sorted(answers), min(len(answers), 8)):
        classes = made.class_of[list(answer)]
        block = Block(made, 1, classes, room, np.ones(length, np.bool_), uses_c=uses_c)
        current = list(answer)
        for _ in range(6):
            i = random.randrange(length)
            others = {
                other[i]
                for other in answers
                if all(other[j] == current[j] for j in range(length) if j != i)
            }
            assert allowed_tokens(made, block.masks()[i]) == others
            token = random.randrange(EOS + 1)
            (accepted,) = block.accept(np.array([i]), np.array([token]))
            assert accepted == (token in others)
            current[i] = token if accepted else current[i]


@pytest.mark.parametrize("uses_c", [True, False])
def test_a_replaced_token_admits_others_before_it(uses_c: bool) -> None:
    made = automaton_of("a1|a,|b,")
    a, b, one, comma = (TOKENS.index(token) for token in (b"a", b"b", b"1", b","))
    editable = np.ones(2, np.bool_)
    block = Block(made, 1, made.class_of[[a, one]], 0, editable, uses_c=uses_c)
    assert allowed_tokens(made, block.masks()[0]) == {a}
    assert block.accept(np.array([0, 1, 0]), np.array([b, comma, b])).tolist() == [0, 1, 1]
    assert allowed_tokens(made, block.masks()[0]) == {a, b}
    assert allowed_tokens(made, block.masks()[1]) == {comma}


@pytest.mark.parametrize("uses_c", [True, False])
def test_choices_beyond_the_work_of_a_step_are_left_to_later_ones(uses_c: bool) -> None:
    made, length = automaton_of("[ab]{0,90}1"), 60
    block = block_of(made, length, 40, uses_c=uses_c, fixed={})
    positions = np.arange(length)[::-1].copy()
    a, num_steps, num_taken = TOKENS.index(b"a"), 0, 0
    while len(positions):
        accepted = block.accept(positions, np.full(len(positions), a), 500 * made.num_states)
        assert accepted[0]
        assert not accepted.all() or num_steps
        num_steps, num_taken = num_steps + 1, num_taken + accepted.sum()
        positions = positions[~accepted]
    assert num_taken == length
    assert num_steps > 1


@pytest.mark.parametrize("seed", range(40))
def test_c_and_numpy_agree_on_random_blocks(seed: int) -> None:
    random = Random(seed)
    pattern = random.choice((*PATTERNS, r"(\{a*(,[b1]{0,5})*\}){1,3}", "(a|b){0,12}1"))
    made = automaton_of(pattern)
    length, room = random.randint(1, 12), random.randint(0, 6)
    edits = seed % 2 == 0
    editable = np.full(length, edits)
    fresh = [np.full(length, MASKED, np.int32) for _ in range(2)]
    blocks = [
        Block(made, 1, classes, room, editable, uses_c=uses_c)
        for classes, uses_c in zip(fresh, (True, False), strict=True)
    ]
    open_ = set(range(length))
    for _ in range(4):
        masks, reference = (block.masks() for block in blocks)
        rows = sorted(range(length) if edits else open_)
        assert np.array_equal(masks[rows], reference[rows])
        positions = np.array(random.sample(rows, random.randint(0, len(rows))), np.int64)
        tokens = np.array([random.randrange(EOS + 1) for _ in positions], np.int64)
        accepted, expected = (block.accept(positions, tokens) for block in blocks)
        assert np.array_equal(accepted, expected)
        forced, expected_forced = (block.fill_forced() for block in blocks)
        assert np.array_equal(forced, expected_forced)
        open_ -= {*positions[accepted].tolist(), *forced[0].tolist()}


@pytest.mark.parametrize("seed", range(60))
def test_random_fills_end_valid_at_any_length_from_the_shortest_on(seed: int) -> None:
    random = Random(seed)
    vocabulary, end = random.choice([(SMALL, EOS), (BYTES, 256)])
    pattern = random.choice((*PATTERNS, r"\{(a{0,20},)*(1|12)\}", "(a|b){7,30}1", "(aab|b)+é?"))
    made = automaton_of(pattern, vocabulary)
    most = made.shortest + random.choice((0, 0, 1, 2, 5, 20))
    answer = denoise(made, random, random.choice((1, 4, 7, 32)), most)
    size = answer.index(end) if end in answer else len(answer)
    assert set(answer[size:]) <= {end}
    texts = TOKENS if vocabulary is SMALL else [bytes((i,)) for i in range(256)]
    text = b"".join(texts[i] or b"" for i in answer[:size])
    assert re.fullmatch(pattern, text.decode())


def test_a_constraint_knows_where_an_answer_may_end() -> None:
    constraint = Constraint(automaton_of("ab?"))
    assert constraint.shortest == 1
    assert not constraint.is_complete
    constraint.advance(np.array([TOKENS.index(b"a")]))
    assert constraint.is_complete
    assert not constraint.can_only_end
    constraint.advance(np.array([TOKENS.index(b"b")]))
    assert constraint.is_complete
    assert constraint.can_only_end
    constraint.advance(np.array([EOS, EOS]))
    assert constraint.is_complete
    assert constraint.can_only_end


def test_a_block_without_room_for_an_answer_is_impossible() -> None:
    made = automaton_of("a{4}b")
    masked = np.ones(2, np.bool_)
    for room, fits in ((1, False), (2, True)):
        block = Constraint(made).open_block(np.zeros(2, np.int64), masked, room)
        assert block.is_possible == fits
