"""The uncounted wordings and drills: their answers, and that they say nothing that is held out."""

import sqlite3
from contextlib import closing
from random import Random

import pytest

from training.tasks.numbers import drills as number_drills
from training.tasks.passages.frames import FRAMES, QUESTION_FIRST
from training.tasks.passages.happenings import happening
from training.tasks.passages.lookup import UNKNOWN
from training.tasks.passages.notices import notice
from training.tasks.sql import drills as sql_drills
from training.tasks.text import everyday, letter_drills, lists, sequences, strings
from training.wordings import Draw, allowed, expansions, plain, trained_texts

COUNTED_LIKE = {
    "unique": (everyday.UNIQUE, (lists.DUPLICATES,)),
    "left": (everyday.LEFT, (lists.DROPS,)),
    "down": (everyday.DOWN, (sequences.NUMBERS_DOWN, sequences.NUMBERS_UP, sequences.ORDERS)),
    "upper": (everyday.CASED["upper"], (strings.UPPER,)),
    "lower": (everyday.CASED["lower"], (strings.LOWER,)),
    "title": (everyday.CASED["title"], (strings.TITLE,)),
    "frames": (QUESTION_FIRST, (FRAMES,)),
}


def texts(templates: tuple[str, ...]) -> set[str]:
    return {plain(text) for template in templates for text in expansions(template)}


@pytest.mark.parametrize("kind", COUNTED_LIKE)
def test_no_wording_is_one_that_a_counted_task_holds_out(kind: str) -> None:
    ours, counted = COUNTED_LIKE[kind]
    for templates in counted:
        held_out = texts((*allowed(templates, "test"), *allowed(templates, "validation")))
        assert not texts(ours) & (held_out - trained_texts(templates))


def test_filtered_lists_keep_their_order_and_lose_what_was_asked() -> None:
    rng = Random(1)
    for _ in range(300):
        problem = everyday.everyday(Draw(rng))
        kind, _, rest = problem.keys[0].removeprefix("list:").partition(":")
        if kind in ("even", "odd"):
            numbers = [int(number) for number in rest.split(":")]
            kept = [n for n in numbers if n % 2 == (kind == "odd")]
            assert problem.answer == ", ".join(map(str, kept))
        elif kind == "drop":
            word, *items = rest.split(":")
            assert problem.answer == ", ".join(item for item in items if item != word)


def test_picked_places_are_those_of_the_request() -> None:
    rng = Random(2)
    for _ in range(50):
        problem = letter_drills.pick_places(Draw(rng))
        picked = problem.answer.split(", ")
        assert len(set(picked)) == len(picked) >= 2
        assert all(word in problem.turns[0].content for word in picked)


def test_spelled_words_are_kept_out_with_the_problems_of_their_letters() -> None:
    rng = Random(3)
    for _ in range(50):
        problem = letter_drills.spell_words(Draw(rng))
        spelled = [line.partition(": ")[0].lower() for line in problem.answer.split("\n")]
        names = {key.rpartition(":")[2] for key in problem.keys[1:]}
        assert names <= {*spelled, *(word[::-1] for word in spelled)}
        assert len(problem.keys) == len(spelled) + 1


def test_each_pair_is_in_order_and_kept_out_with_its_first_word() -> None:
    rng, num_alike = Random(4), 0
    for _ in range(50):
        problem = letter_drills.order_pairs(Draw(rng))
        pairs = [line.split(", ") for line in problem.answer.split("\n")]
        assert all(pair == sorted(pair) for pair in pairs)
        assert {f"wsort:first:{':'.join(pair)}" for pair in pairs} <= set(problem.keys)
        num_alike += sum(first[:2] == second[:2] for first, second in pairs)
    assert num_alike > 20


def test_ranges_are_counted_to_their_ends() -> None:
    rng = Random(5)
    for _ in range(50):
        problem = number_drills.ranges(Draw(rng))
        for key, line in zip(problem.keys[1:], problem.answer.split("\n"), strict=True):
            way, low, high = key.split(":")
            numbers = [int(number) for number in line.split(", ")]
            assert sorted(numbers) == list(range(int(low), int(high) + 1))
            assert (numbers[0] > numbers[-1]) == (way == "down")


def test_checked_equations_are_right_and_their_verdicts_too() -> None:
    rng = Random(6)
    for _ in range(50):
        problem = number_drills.checks(Draw(rng))
        claims = [key.removeprefix("check:") for key in problem.keys if key.startswith("check:")]
        for claim, line in zip(claims, problem.answer.split("\n"), strict=True):
            left, claimed = claim.split("=")
            work, _, verdict = line.rpartition(": ")
            assert eval(left) == int(work.rpartition("= ")[2])
            assert verdict == ("yes" if eval(left) == int(claimed) else "no")


def test_queries_of_several_clauses_are_sql() -> None:
    rng = Random(7)
    with closing(sqlite3.connect(":memory:")) as base:
        for _ in range(100):
            problem = sql_drills.several_clauses(Draw(rng))
            assert sum(word in problem.answer for word in ("WHERE", "ORDER BY", "LIMIT")) >= 2
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                base.execute(problem.answer)


def test_happenings_are_answered_in_the_words_of_the_text() -> None:
    rng = Random(2)
    for _ in range(400):
        problem = happening(Draw(rng))
        answer = problem.answer.removesuffix(".")
        if problem.answer != UNKNOWN:
            said = answer.removeprefix("Because ")
            assert said.lower() in problem.turns[0].content.lower()


def test_notes_are_answered_in_the_words_of_the_text() -> None:
    rng = Random(3)
    added = {"at", "on", "in", "until", "to", "from", "because", "after", "yes", "no", "it", "a"}
    for _ in range(600):
        problem = notice(Draw(rng))
        request = problem.turns[0].content
        assert not {*"{}[]"} & {*request, *problem.answer}
        if problem.answer != UNKNOWN:
            said = {word.strip(".").removesuffix("'s") for word in problem.answer.lower().split()}
            asked = {
                word.strip(".,?!:'\"`“”").removesuffix("'s") for word in request.lower().split()
            }
            assert said <= asked | added
