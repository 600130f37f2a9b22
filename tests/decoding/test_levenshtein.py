"""Levenshtein editing against a loop over positions, and case by case."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.levenshtein_reference import Loop, Rows
from unmask.decoding.levenshtein import Candidates, EditedBlock, EditRules, edit_block

MASK, DELETE, SPLIT, VOCAB = 9, 10, 11, 12
RULES = EditRules(MASK, DELETE, SPLIT)


def candidates_of(loop: Loop, logits: Rows) -> Candidates:
    ids = []
    for row in logits:
        tokens = [token for token in range(len(row)) if token != MASK]
        ids.append(sorted(tokens, key=lambda token: (-row[token], token))[:3])
    confidence = [loop.probability(row, best[0]) for row, best in zip(logits, ids, strict=True)]
    return Candidates(np.array(ids), np.array(confidence))


def peaked(ids: list[int], confidence: float | list[float] = 0.95) -> Candidates:
    """Candidates whose second and third are ordinary tokens."""
    thirds = [[token for token in (0, 1, 2) if token != best] for best in ids]
    both = [[best, *rest[:2]] for best, rest in zip(ids, thirds, strict=True)]
    return Candidates(np.array(both), np.broadcast_to(np.float32(confidence), (len(ids),)))


def opened(tokens: list[int], num_given: int = 0, rules: EditRules = RULES) -> EditedBlock:
    return EditedBlock.opened(np.array(tokens), num_given, rules)


def step(block: EditedBlock, ids: list[int], rules: EditRules = RULES) -> EditedBlock:
    return edit_block(block, peaked(ids), rules)


def filled(tokens: list[int], num_given: int = 0, rules: EditRules = RULES) -> EditedBlock:
    """Block that its first step filled with `tokens`."""
    masked = tokens[:num_given] + [MASK] * (len(tokens) - num_given)
    block = step(opened(masked, num_given, rules), tokens, rules)
    assert block.token_ids.tolist() == tokens
    return block


def tiny_model(seed: int, is_stubborn: bool) -> Callable[[list[int]], Rows]:
    """Random logits by the tokens alone, so that states repeat; few tokens, often commands."""

    def logits(tokens: list[int]) -> Rows:
        draw = random.Random(f"{seed} {tokens}")
        rows = []
        for _ in tokens:
            row = [draw.gauss(0, 3) for _ in range(VOCAB)]
            if is_stubborn:
                row[:9] = [x - 6 * (token > 1) for token, x in enumerate(row[:9])]
            rows.append(row)
        return rows

    return logits


@settings(deadline=None, max_examples=examples(100, 300))
@given(
    length=st.integers(1, 10),
    given=st.floats(0, 1),
    threshold=st.sampled_from([0.0, 0.3, 0.6, 0.99]),
    editing_threshold=st.sampled_from([0.0, 0.4, 0.8, 1.0]),
    steps=st.integers(1, 12),
    max_post_steps=st.integers(0, 9),
    max_steps=st.integers(2, 40),
    is_stubborn=st.booleans(),
    seed=st.integers(0, 2**20),
)
def test_a_block_is_edited_as_in_the_loop(
    length: int,
    given: float,
    threshold: float,
    editing_threshold: float,
    steps: int,
    max_post_steps: int,
    max_steps: int,
    is_stubborn: bool,
    seed: int,
) -> None:
    num_given = int(given * length)
    prompt = random.Random(seed).choices(range(VOCAB), k=num_given)
    tokens = prompt + [MASK] * (length - num_given)
    limits = {"steps": steps, "max_post_steps": max_post_steps, "max_steps": max_steps}
    thresholds = {"threshold": threshold, "editing_threshold": editing_threshold}
    model = tiny_model(seed, is_stubborn)
    loop = Loop(list(tokens), num_given, MASK, DELETE, SPLIT, **limits, **thresholds)
    rules = replace(RULES, **limits, **thresholds)
    block = opened(tokens, num_given, rules)
    while not block.is_final:
        logits = model(loop.tokens)
        before = loop.tokens
        loop.one_step(logits)
        block = edit_block(block, candidates_of(loop, logits), rules)
        assert block.token_ids.tolist() == loop.tokens
        assert block.is_original.tolist() == loop.original
        assert (block.step, block.post_steps) == (loop.step, loop.post)
        is_stable = MASK not in before[num_given:] and loop.tokens == before
        assert block.is_final == (loop.last or is_stable)
    assert block.step <= max_steps
    assert block.token_ids[:num_given].tolist() == prompt
    assert not set(block.token_ids[num_given:].tolist()) & {MASK, DELETE, SPLIT}


def test_a_block_without_masks_is_final_when_it_is_opened() -> None:
    assert opened([1, 2, 3]).is_final
    assert opened([MASK, 2], num_given=2).is_final


def test_a_block_is_final_once_a_step_without_masks_changes_nothing() -> None:
    block = filled([3, 4, 5, 6])
    assert not block.is_final
    assert step(block, [3, 4, 5, 6]).is_final
    assert not step(block, [3, 4, 5, 7]).is_final


def test_delete_drops_its_position_and_a_mask_comes_in_at_the_end() -> None:
    block = step(filled([3, 4, 5, 6]), [3, DELETE, 5, 6])
    assert block.token_ids.tolist() == [3, 5, 6, MASK]
    assert block.is_original.tolist() == [True, True, True, False]


def test_split_puts_a_mask_before_the_token_that_was_there() -> None:
    block = step(filled([3, 4, 5, 6]), [3, SPLIT, 5, 6])
    assert block.token_ids.tolist() == [3, MASK, 4, 5]
    assert block.is_original.tolist() == [True, False, True, True]


def test_commands_of_one_step_are_carried_out_together() -> None:
    block = step(filled([3, 4, 5, 6]), [DELETE, 4, SPLIT, 8])
    assert block.token_ids.tolist() == [4, MASK, 5, 8]


def test_split_of_a_mask_makes_two() -> None:
    block = step(opened([3, MASK, MASK], num_given=1), [0, SPLIT, 5])
    assert block.token_ids.tolist() == [3, MASK, MASK]
    assert block.is_original.tolist() == [False, False, True]


@pytest.mark.parametrize("command", [DELETE, SPLIT])
def test_a_prompt_is_never_edited(command: int) -> None:
    block = filled([command, 2, 4, 5], num_given=2)
    edited = step(block, [8, DELETE, command, 5])
    assert edited.token_ids[:2].tolist() == [command, 2]


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        ([0.3, 0.9, 0.8, 0.2], [MASK, 4, 5, MASK]),  # more than the step must fill
        ([0.3, 0.4, 0.35, 0.2], [MASK, 4, MASK, MASK]),
        ([0.3, 0.3, 0.3, 0.3], [3, MASK, MASK, MASK]),  # the first of equals
    ],
)
def test_a_step_fills_what_is_confident_or_its_share(
    confidence: list[float], expected: list[int]
) -> None:
    block = edit_block(opened([MASK] * 4), peaked([3, 4, 5, 6], confidence), RULES)
    assert block.token_ids.tolist() == expected


def test_masks_that_edits_made_are_filled_at_once() -> None:
    block = step(filled([3, 4, 5, 6]), [DELETE, DELETE, 5, 6])
    assert block.token_ids.tolist() == [5, 6, MASK, MASK]
    block = edit_block(block, peaked([5, 6, 7, 8], [0.9, 0.9, 0.1, 0.2]), RULES)
    assert block.token_ids.tolist() == [5, 6, 7, 8]


def test_after_its_steps_every_mask_is_filled() -> None:
    rules = replace(RULES, steps=2)
    block = opened([MASK] * 6, rules=rules)
    counts = []
    while MASK in block.token_ids:
        counts.append(int((block.token_ids == MASK).sum()))
        block = edit_block(block, peaked([3, 4, 5, 6, 7, 8], 0.1), rules)
    assert counts == [6, 3]


def test_the_last_step_fills_every_mask_and_writes_no_command() -> None:
    rules = replace(RULES, max_post_steps=2)
    block = step(filled([3, 4, 5, 6], rules=rules), [3, SPLIT, 5, 6], rules)
    assert block.token_ids.tolist() == [3, MASK, 4, 5]
    block = step(block, [DELETE, DELETE, SPLIT, 5], rules)
    assert block.is_final
    assert block.token_ids.tolist() == [0, 0, 0, 5]


def test_a_state_that_was_seen_is_left_where_it_is_least_confident() -> None:
    block = step(filled([3, 4]), [5, 6])
    block = step(block, [3, 4])  # which the first step had filled
    assert block.token_ids.tolist() == [0, 4]


def test_a_final_block_is_not_edited() -> None:
    with pytest.raises(AssertionError):
        step(opened([1, 2]), [1, 2])
