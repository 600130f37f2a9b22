"""Automata over tokens against the automaton of bytes; C against NumPy."""

import itertools
from random import Random

import numpy as np
import pytest

from tests.support.automata import EOS, SMALL, TOKENS, language
from unmask.decoding.automata.automaton import FAR, TokenAutomaton, build_automaton
from unmask.decoding.automata.errors import GrammarTooLarge, NoAnswer
from unmask.decoding.automata.expressions import (
    NOTHING,
    Intersection,
    Special,
    concatenation,
    literal,
    union,
)
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.minimal import ByteAutomaton, minimize
from unmask.decoding.automata.nfa import compile_bytes, nfa_of
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.subsets import determinize
from unmask.decoding.automata.vocabulary import make_vocabulary

PATTERNS = (r"\{(a|b)+(,1)?\}", "(ab)*", "a{2,3}b?", "(a|ab|b1)(2|12)?", "", "[ab1]{0,9}", "é|ab")


def build(pattern: str, *, uses_c: bool, allowed: np.ndarray | None = None) -> TokenAutomaton:
    return build_automaton(language(regex(pattern)), SMALL, Budget(), allowed, uses_c=uses_c)


def read(bytes_: ByteAutomaton, state: int, text: bytes) -> int:
    column_of = {s: i for i, column in enumerate(bytes_.columns) for s in column}
    for byte in text:
        state = int(bytes_.moves[state, column_of[byte]]) if byte in column_of else 0
    return state


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_token_moves_a_state_as_its_bytes_do(pattern: str, uses_c: bool) -> None:
    bytes_ = language(regex(pattern))
    made = build(pattern, uses_c=uses_c)
    done = made.num_states - 1
    for token, text in enumerate((*TOKENS, None)):
        for state in range(1, done):
            if token == EOS:
                target = done if bytes_.accepts[state] else 0
            else:
                target = read(bytes_, state, text) if text else 0
            # A move to a state from which no token leads on is none.
            target = target if made.distance[target] < FAR else 0
            assert made.after(state, made.class_of[token]) == target
        assert made.after(done, made.class_of[token]) == (done if token == EOS else 0)
    assert made.accepts.tolist() == [*bytes_.accepts.tolist(), False]


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_edges_are_the_moves_and_distances_count_tokens(pattern: str, uses_c: bool) -> None:
    made = build(pattern, uses_c=uses_c)
    sources = np.repeat(np.arange(made.num_states), np.diff(made.starts))
    edges = set(zip(made.classes.tolist(), sources.tolist(), made.targets.tolist(), strict=True))
    assert len(edges) == len(made.targets)
    for klass, state in itertools.product(range(made.num_classes), range(made.num_states)):
        target = made.after(state, klass)
        assert ((klass, state, target) in edges) == (target > 0)
    assert sum(made.after(s, c) == t for c, s, t in edges) == len(edges)
    for state in range(1, made.num_states - 1):
        after = [t for c, s, t in edges if s == state and c != made.num_classes - 1]
        nearest = min((int(made.distance[t]) + 1 for t in after), default=FAR)
        assert made.distance[state] == (0 if made.accepts[state] else nearest)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_classes_tell_tokens_apart_that_move_states_apart(pattern: str) -> None:
    made = build(pattern, uses_c=True)
    rows = [
        tuple(made.after(state, klass) for state in range(made.num_states))
        for klass in range(made.num_classes)
    ]
    assert len(set(rows)) == made.num_classes
    assert [any(row) for row in rows] == [False] + [True] * (made.num_classes - 1)
    for klass, token in enumerate(made.forced.tolist()):
        members = np.flatnonzero(made.class_of == klass).tolist()
        assert (members == [token]) == (token >= 0 and klass > 0)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_c_and_numpy_build_the_same(pattern: str) -> None:
    made, reference = build(pattern, uses_c=True), build(pattern, uses_c=False)
    for name in set(made.__slots__) - {"for_c"}:
        assert np.array_equal(getattr(made, name), getattr(reference, name)), name


@pytest.mark.parametrize("seed", range(30))
def test_c_and_python_make_the_same_least_automaton(seed: int) -> None:
    random = Random(seed)
    alternatives = ["".join(random.choices("ab1é", k=random.randint(0, 6))) for _ in range(9)]
    pattern = f"({'|'.join(alternatives)}|[ab]1?){random.choice(['', '*', '{0,3}', '+a', 'a*b'])}"
    dead_end = concatenation(literal("a"), Intersection(literal("b"), literal("1")))
    nfa = nfa_of(union((regex(pattern), dead_end)), {}, Budget())
    dfa, expected = (determinize(nfa, Budget(), uses_c=uses_c) for uses_c in (True, False))
    for name in ("sources", "columns", "targets", "accepts"):
        assert np.array_equal(getattr(dfa, name), getattr(expected, name)), name
    made, reference = minimize(dfa), minimize(dfa, uses_c=False)
    assert np.array_equal(made.moves, reference.moves)
    assert np.array_equal(made.accepts, reference.accepts)
    assert made.columns == reference.columns
    assert len(made.moves) <= dfa.num_states + 1
    rows = {(bool(a), row.tobytes()) for a, row in zip(made.accepts, made.moves, strict=True)}
    assert len(rows) == len(made.moves)  # no two states are alike at once


@pytest.mark.parametrize("uses_c", [True, False])
def test_subsets_beyond_a_limit_are_refused(uses_c: bool) -> None:
    nfa = nfa_of(regex("(a|b)*a(a|b){9}"), {}, Budget())
    assert determinize(nfa, Budget(), uses_c=uses_c).num_states > 1000
    with pytest.raises(GrammarTooLarge, match="over 1000 subsets"):
        determinize(nfa, Budget(Limits(subsets=1000)), uses_c=uses_c)


def test_tokens_that_are_not_allowed_are_in_no_answer() -> None:
    allowed = np.ones(EOS + 1, np.bool_)
    allowed[TOKENS.index(b"ab")] = False
    made = build("(ab)+", uses_c=True, allowed=allowed)
    assert made.class_of[TOKENS.index(b"ab")] == 0
    assert made.shortest == 2
    assert build("(ab)+", uses_c=True).shortest == 1


def test_a_special_token_is_no_text() -> None:
    vocabulary = make_vocabulary([b"a", b"<", b"t", b">", None, None], [5], {"<t>": 4})
    expression = concatenation(Special("<t>"), literal("a"))
    made = build_automaton(
        minimize(compile_bytes(expression, vocabulary.specials, Budget())), vocabulary, Budget()
    )
    assert made.after(1, made.class_of[1]) == 0
    assert made.accepts[made.after(made.after(1, made.class_of[4]), made.class_of[0])]
    assert made.shortest == 2


def test_languages_that_no_tokens_spell_are_refused() -> None:
    with pytest.raises(NoAnswer, match="this grammar"):
        build_automaton(language(NOTHING), SMALL, Budget())
    with pytest.raises(NoAnswer, match="tokens of this model"):
        build("x", uses_c=True)
    with pytest.raises(NoAnswer, match="tokens of this model"):
        build("ab", uses_c=True, allowed=np.zeros(EOS + 1, np.bool_))


def test_classes_that_devices_have_no_number_for_are_refused() -> None:
    assert Limits().classes == np.iinfo(np.int16).max
    found = language(regex("ab|1"))
    made = build_automaton(found, SMALL, Budget(Limits(classes=4)))
    assert made.num_classes == 5  # with that of tokens in no answer
    with pytest.raises(GrammarTooLarge, match="over 3 classes"):
        build_automaton(found, SMALL, Budget(Limits(classes=3)))


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("most", [1, 10, 16])
def test_automata_beyond_a_limit_are_refused(most: int, uses_c: bool) -> None:
    budget = Budget(Limits(edges=most))
    with pytest.raises(GrammarTooLarge, match="too large: over"):
        build_automaton(language(regex("[ab1]{0,9}")), SMALL, budget, uses_c=uses_c)
