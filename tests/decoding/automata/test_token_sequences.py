"""Answers without some sequences of tokens, against enumeration."""

import itertools

import numpy as np
import pytest

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.constraint import Constraint
from unmask.decoding.automata.errors import GrammarTooLarge, NoAnswer
from unmask.decoding.automata.token_sequences import automaton_without

Word = tuple[int, ...]
WORDS: tuple[tuple[Word, ...], ...] = (
    (),
    ((1,),),
    ((1, 2),),
    ((1, 1, 2), (2, 3)),
    ((1, 1), (1, 2, 1), (3,)),
    ((1, 2, 1, 2), (2, 1), (2,)),
    ((1, 2, 3, 1), (2, 3, 2), (3, 1, 3)),
)


def is_taken(automaton: TokenAutomaton, tokens: Word) -> bool:
    state = 1
    for token in tokens:
        state = automaton.after(state, int(automaton.class_of[token]))
    return state != 0


def has_word(tokens: Word, words: tuple[Word, ...]) -> bool:
    return any(tokens[i : i + len(word)] == word for word in words for i in range(len(tokens) + 1))


@pytest.mark.parametrize("words", WORDS)
def test_answers_have_none_of_the_words(words: tuple[Word, ...]) -> None:
    automaton = automaton_without(words, 5, never=(4,))
    assert automaton.shortest == 0
    for tokens in itertools.product(range(4), repeat=6):
        assert is_taken(automaton, tokens) == (not has_word(tokens, words)), tokens
    assert not is_taken(automaton, (0, 4))


@pytest.mark.parametrize("words", WORDS)
def test_masks_allow_what_some_answer_has(words: tuple[Word, ...]) -> None:
    automaton = automaton_without(words, 5, never=(4,))
    answers = [t for t in itertools.product(range(4), repeat=4) if not has_word(t, words)]
    for known in itertools.product((None, 0, 1, 2), repeat=4):
        possible = [
            t
            for t in answers
            if all(own in (None, token) for own, token in zip(known, t, strict=True))
        ]
        masked = np.array([own is None for own in known])
        tokens = np.array([own or 0 for own in known], np.int64)
        block = Constraint(automaton).open_block(tokens, masked, 0)
        assert block.is_possible == bool(possible), known
        if not possible:
            continue
        masks = block.masks()
        for i in np.flatnonzero(masked).tolist():
            bits = [(masks[i, c >> 5] >> (c & 31)) & 1 for c in automaton.class_of[:4].tolist()]
            assert [bool(bit) for bit in bits] == [
                any(t[i] == k for t in possible) for k in range(4)
            ]


def test_only_tokens_that_are_allowed_are_left() -> None:
    automaton = automaton_without(((1, 2),), 5, never=(4,), allowed=(0, 1))
    assert is_taken(automaton, (0, 1, 0, 1, 1))
    for token in (2, 3, 4):
        assert not is_taken(automaton, (0, token))


def test_words_with_tokens_that_are_not_generated_are_in_no_answer() -> None:
    words = ((1, 9), (9,), (4, 2), (2, 3), (0, 1))  # 9: beyond the vocabulary
    automaton = automaton_without(words, 5, never=(4,), allowed=(0, 1, 2))
    assert automaton.num_classes == 5  # forbidden, in no word, 0, 1, and the end
    assert is_taken(automaton, (1, 2, 2, 0, 2, 1))
    assert not is_taken(automaton, (2, 0, 1))


def test_a_token_outside_the_words_must_be_left() -> None:
    with pytest.raises(NoAnswer, match="every token that may be generated"):
        automaton_without(((1, 2),), 5, never=(4,), allowed=(1, 2))


def test_words_beyond_the_limit_are_refused() -> None:
    words = [tuple(range(i, i + 200)) for i in range(0, 2000, 200)]
    with pytest.raises(GrammarTooLarge, match="over 500000 edges"):
        automaton_without(words, 3000, never=())


def test_words_of_one_token_take_no_edges() -> None:
    automaton = automaton_without([(i,) for i in range(2000)], 3000, never=())
    assert (automaton.num_states, automaton.num_classes) == (3, 3)
