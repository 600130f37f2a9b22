"""Problems pass their own checkers, and are split by problem and by phrasing."""

import json
from itertools import pairwise
from random import Random

import jsonschema
import pytest

from training.suite import PHRASINGS, held_out, schema_of, with_constraints, with_hole
from training.tasks.catalog import ALL, COUNTED, draw_problem
from training.tasks.problem import MEMORISED, PRIMITIVE, Problem, belongs_to, split_of_key
from training.tokenizer import load
from training.wordings import Draw, allowed, expansions, plain, trained_texts
from unmask.evaluation.checkers import check_all
from unmask.evaluation.suite import load_suite

NUM_DRAWN = 150
SHIPPED_COUNT = 40  # problems a task and phrasing


def reference(problem: Problem) -> str:
    return problem.answer if problem.reference is None else problem.reference


def asked(problem: Problem) -> str:
    """A conversation without what readers pass over."""
    return "|".join(plain(turn.content) for turn in problem.turns)


@pytest.mark.parametrize("task", ALL)
def test_every_answer_passes_its_own_checker(task: str) -> None:
    rng = Random(1)
    problems = [draw_problem(rng, "train", task) for _ in range(NUM_DRAWN)]
    assert all(check_all([(p.checker, p.answer, reference(p)) for p in problems]))
    assert all(p.task == task for p in problems)


@pytest.mark.usual_cases(4)
@pytest.mark.parametrize("task", sorted(set(COUNTED) - {"beyond"}))  # which has one answer
def test_few_answers_pass_for_another_problem(task: str) -> None:
    rng = Random(2)
    problems = [draw_problem(rng, "train", task) for _ in range(NUM_DRAWN)]
    wrong = [
        (p.checker, other.answer, reference(p))
        for p, other in pairwise(problems)
        if p.turns != other.turns and p.answer != other.answer
    ]
    # Two problems may have the same answer in other words; a checker that always agrees fails.
    assert len(wrong) > NUM_DRAWN / 5
    assert sum(check_all(wrong)) < 0.2 * len(wrong)


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize("task", COUNTED)
def test_training_never_meets_a_held_out_problem(task: str) -> None:
    rng = Random(3)
    trained = {k for _ in range(400) for k in draw_problem(rng, "train", task).keys}
    for problem in held_out("test", task, 40, "seen"):
        if not problem.keys[0].startswith(MEMORISED):
            assert split_of_key(problem.keys[0]) == "test"
            assert problem.keys[0] not in trained
            assert not belongs_to(problem, "train")


@pytest.mark.usual_cases(4)
@pytest.mark.parametrize("task", COUNTED)
def test_held_out_words_are_never_trained_on(task: str) -> None:
    rng = Random(4)
    trained = {asked(draw_problem(rng, "train", task)) for _ in range(1500)}
    problems = held_out("test", task, 60, "held out")
    assert len(problems) >= 20
    met = [problem for problem in problems if asked(problem) in trained]
    # Lists of few templates are not split, and two lists may ask for the same in the same words.
    assert len(met) <= 0.1 * len(problems)
    for problem in problems:
        assert split_of_key(problem.keys[0]) == "test" or problem.keys[0].startswith(
            (MEMORISED, PRIMITIVE)
        )


def test_a_held_out_template_has_no_text_of_a_trained_one() -> None:
    others = (f"{i} {{a}} {{b}}" for i in range(8))
    templates = ("~Add {a} and {b}.", "add {a}[,|] and {b}", *others)
    own = set(allowed(templates, "test"))
    for i in range(200):
        draw = Draw(Random(i), "test")
        draw.say(templates, a=1, b=2)
        [said] = draw.said
        assert said in own
        assert not {plain(text) for text in expansions(said)} <= trained_texts(templates)


def test_phrasing_does_not_change_the_split() -> None:
    rng = Random(4)
    phrasings: dict[str, set[str]] = {}
    for _ in range(3000):
        problem = draw_problem(rng, "train", "add")
        phrasings.setdefault(problem.keys[0], set()).add(problem.turns[0].content)
    assert max(len(texts) for texts in phrasings.values()) > 5


def test_the_shipped_suite_is_the_test_split_in_both_phrasings() -> None:
    shipped = load_suite()
    assert {problem.task for problem in shipped} == {*COUNTED, "schema", "hole"}
    for task in list(COUNTED)[::7]:
        for phrasing in PHRASINGS:
            expected = [
                p.turns[-1].content for p in held_out("test", task, SHIPPED_COUNT, phrasing)
            ]
            shown = [
                p.messages[-1]["content"]
                for p in shipped
                if p.task == task and p.phrasing == phrasing
            ]
            assert shown == expected


def test_a_hole_is_as_long_as_what_it_hides() -> None:
    tokenizer = load()

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    problems = held_out("test", "sql", 20, "held out")
    entries = [with_hole(problem, "held out", tokenizer) for problem in problems]
    assert any(entries)
    for problem, entry in zip(problems, entries, strict=True):
        if entry is not None:
            before, size, behind = entry["template"]
            whole, start = ids(problem.answer), len(ids(before))
            assert (whole[:start], whole[start + size :]) == (ids(before), ids(behind))


def test_a_schema_of_the_suite_takes_the_right_answer() -> None:
    held = [e for e in with_constraints("test", 12, "held out") if e["task"] == "schema"]
    assert len(held) == 12
    for entry in held:
        jsonschema.validate(json.loads(str(entry["reference"])), json.loads(str(entry["schema"])))


@pytest.mark.parametrize("value", [{"a": [1, 2], "b": {"c": None}}, [], True, 1.5, "text"])
def test_a_schema_takes_the_value_it_is_of(value: object) -> None:
    jsonschema.validate(value, schema_of(value))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"other": value}, schema_of(value))
