"""The likeliest text: the best of all texts that match and leave room to end; C against NumPy."""

import itertools
from random import Random

import numpy as np
import pytest

from tests.support.automata import BYTES, automaton_of, schema_language
from unmask.decoding.automata.automaton import FAR, TokenAutomaton, build_automaton
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.paths import Scores, likeliest


def random_scores(made: TokenAutomaton, length: int, seed: int) -> Scores:
    return np.random.default_rng(seed).normal(0, 3, (length, made.num_classes)).astype(np.float32)


@pytest.mark.parametrize("uses_c", [True, False])
@pytest.mark.parametrize("pattern", ["(ab|b)*1?", "a{2}|b|(12,)+", "[ab1]*"])
@pytest.mark.parametrize("room", [0, 1, 4])
def test_the_path_has_the_largest_sum_of_all_that_leave_room(
    pattern: str, room: int, uses_c: bool
) -> None:
    made, num_found = automaton_of(pattern), 0
    for length in (1, 2, 3, 4):
        scores = random_scores(made, length, room)
        sums = {}
        for word in itertools.product(range(1, made.num_classes), repeat=length):
            state = 1
            for klass in word:
                state = made.after(state, klass)
            if state and made.distance[state] <= min(room, FAR - 1):
                sums[word] = sum(float(scores[i, klass]) for i, klass in enumerate(word))
        if sums:
            found = tuple(likeliest(made, 1, room, scores, uses_c=uses_c).tolist())
            assert sums[found] == pytest.approx(max(sums.values()))
            num_found += 1
    assert num_found


@pytest.mark.parametrize("rounded", [False, True])  # many paths are equally good
def test_c_finds_the_same_path_as_numpy(rounded: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}, "b": {}}}
    made, random = build_automaton(schema_language(schema), BYTES, Budget()), Random(0)
    for seed in range(20):
        scores = random_scores(made, random.randint(20, 60), seed)
        scores = np.sign(scores) if rounded else scores
        room = random.choice((0, 1, 5, 1 << 40))
        found = [likeliest(made, 1, room, scores, uses_c=uses_c) for uses_c in (True, False)]
        assert np.array_equal(*found)
