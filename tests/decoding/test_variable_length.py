"""Commands of answers that grow and shrink: where positions come from, and limits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.decoding.variable_length import LengthRules, VariableLength
from unmask_kernels.scoring.request_constraint import pack_constraint

MASK, EXPAND, DELETES = 89, 90, (91, 92)
FULL = pack_constraint({EXPAND: -1e30}, None, 100)


def lengths(max_len: int = 8, most_expansions: int = 5, pads: bool = False) -> VariableLength:
    assert FULL is not None
    rules = LengthRules(EXPAND, DELETES, 4, max_len, most_expansions, FULL, pads)
    found = VariableLength.by_rules(rules)
    assert found is not None
    return found


def places(tokens: list[int], filled: list[int], state: VariableLength) -> list[int] | None:
    ids = np.array(tokens)
    found = state.places(ids, ids == MASK, np.array(filled, np.int64))
    return None if found is None else found.tolist()


def test_an_answer_of_fixed_length_has_no_state() -> None:
    assert VariableLength.by_rules(None) is None


def test_an_expansion_takes_two_places_and_a_deletion_none() -> None:
    state = lengths()
    assert places([1, EXPAND, 2, 91, 3, 92], [1, 3, 5], state) == [0, 1, 1, 2, 4]
    assert state.num_expansions == 1


def test_commands_that_were_not_just_written_are_text() -> None:
    assert places([1, EXPAND, 2, 91], [0, 2], lengths()) is None
    assert places([1, EXPAND, 2, 91], [], lengths()) is None


def test_a_deletion_may_take_all_masks_behind_it_along() -> None:
    tokens = [MASK, 1, 91, MASK, 2, MASK, 3]
    assert places(tokens, [2], lengths()) == [0, 1, 3, 4, 5, 6]
    assert places(tokens, [2], lengths(pads=True)) == [0, 1, 4, 6]
    assert places([MASK, EXPAND, MASK], [1], lengths(pads=True)) == [0, 1, 1, 2]


def test_an_answer_is_full_at_its_longest_or_once_its_expansions_are_used_up() -> None:
    state = lengths(max_len=8, most_expansions=2)
    assert not state.is_full(7)
    assert state.is_full(8)
    places([EXPAND], [0], state)
    assert not state.is_full(2)
    places([EXPAND], [0], state)
    assert state.is_full(2)


@given(st.lists(st.sampled_from([1, 2, EXPAND, *DELETES]), min_size=1), st.data())
@settings(max_examples=60, deadline=None)
def test_every_other_token_keeps_its_order(tokens: list[int], data: st.DataObject) -> None:
    filled = sorted(data.draw(st.sets(st.integers(0, len(tokens) - 1))))
    found = places(tokens, filled, lengths())
    expected = [
        i
        for i, token in enumerate(tokens)
        for _ in range({EXPAND: 2, 91: 0, 92: 0}.get(token, 1) if i in filled else 1)
    ]
    assert (found or [*range(len(tokens))]) == expected or found == expected == []
