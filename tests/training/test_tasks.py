"""Problems pass their own checkers and are split by key."""

from itertools import pairwise
from random import Random

import pytest

from training.suite import held_out
from training.tasks.catalog import ALL, CHECKABLE, DRILLS, draw_problem
from training.tasks.problem import belongs_to, split_of_key
from unmask.evaluation.checkers import check_all
from unmask.evaluation.suite import load_suite

NUM_DRAWN = 150


@pytest.mark.parametrize("task", ALL)
def test_every_answer_passes_its_own_checker(task: str) -> None:
    rng = Random(1)
    problems = [draw_problem(rng, "train", task) for _ in range(NUM_DRAWN)]
    assert all(
        check_all(
            [
                (p.checker, p.answer, p.reference if p.reference is not None else p.answer)
                for p in problems
            ]
        )
    )


@pytest.mark.parametrize("task", CHECKABLE)
def test_no_answer_passes_for_another_problem(task: str) -> None:
    rng = Random(2)
    problems = [draw_problem(rng, "train", task) for _ in range(NUM_DRAWN)]
    wrong = [
        (p.checker, other.answer, p.reference if p.reference is not None else p.answer)
        for p, other in pairwise(problems)
        if p.turns != other.turns and p.answer != other.answer
    ]
    # Two problems may have the same answer in other words; a checker that always agrees fails.
    assert sum(check_all(wrong)) < 0.2 * len(wrong)


@pytest.mark.parametrize("task", CHECKABLE)
def test_training_never_meets_a_held_out_problem(task: str) -> None:
    rng = Random(3)
    trained = {k for _ in range(400) for k in draw_problem(rng, "train", task).keys}
    for split in ("validation", "test"):
        for problem in held_out(split, task, 40):
            assert split_of_key(problem.keys[0]) == split
            assert problem.keys[0] not in trained
            assert not belongs_to(problem, "train")


def test_phrasing_does_not_change_the_split() -> None:
    rng = Random(4)
    phrasings: dict[str, set[str]] = {}
    for _ in range(3000):
        problem = draw_problem(rng, "train", "add")
        phrasings.setdefault(problem.keys[0], set()).add(problem.turns[0].content)
    assert max(len(texts) for texts in phrasings.values()) > 1


def test_the_shipped_suite_is_the_test_split_and_large_enough() -> None:
    shipped = load_suite()
    by_task: dict[str, set[str]] = {}
    for problem in shipped:
        by_task.setdefault(problem.task, set()).add(repr(problem.messages))
    assert set(by_task) == set(ALL) - set(DRILLS)
    for task in CHECKABLE:
        assert len(by_task[task]) >= 200
        expected = {p.turns[-1].content for p in held_out("test", task, 200)}
        shown = {p.messages[-1]["content"] for p in shipped if p.task == task}
        assert shown == expected
