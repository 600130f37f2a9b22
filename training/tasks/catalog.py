"""Every task with its share of the training data, and drawing from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from training.tasks import (
    arithmetic,
    code,
    memorised,
    numerals,
    passages,
    sequences,
    strings,
    structured,
    word_problems,
)
from training.tasks.problem import Problem, Split, Turn, belongs_to
from training.tasks.story import story

SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are a small diffusion language model.",
    "Answer briefly.",
    "You are an assistant. Be exact.",
)
RAW_SHARE, TURNS_SHARE, SYSTEM_SHARE = 0.1, 0.08, 0.12


@dataclass(frozen=True, slots=True)
class Task:
    """A generator of problems and how often it is drawn."""

    draw: Callable[[Random], Problem]
    weight: float


CHECKABLE: Mapping[str, Task] = {
    "add": Task(arithmetic.addition, 2.5),
    "sub": Task(arithmetic.subtraction, 3.0),
    "mul": Task(arithmetic.multiplication, 4.5),
    "cmp": Task(arithmetic.comparison, 0.5),
    "unit": Task(arithmetic.conversion, 2.5),
    "word": Task(word_problems.word_problem, 1.8),
    "sort": Task(sequences.sort_numbers, 4.0),
    "wsort": Task(sequences.sort_words, 2.5),
    "rev": Task(sequences.reverse, 0.4),
    "copy": Task(sequences.copy, 0.4),
    "brack": Task(sequences.close_brackets, 1.5),
    "count": Task(sequences.count_word, 4.0),
    "num": Task(numerals.number_words, 0.8),
    "roman": Task(numerals.roman_numeral, 2.5),
    "string": Task(strings.manipulate_string, 3.0),
    "infill": Task(strings.fill_blank, 3.5),
    "json": Task(structured.extract_json, 0.8),
    "json_edit": Task(structured.edit_json, 2.5),
    "sql": Task(structured.sql_query, 0.6),
    "code": Task(code.python_function, 0.6),
    "passage": Task(passages.fact_lookup, 12.0),
    "story": Task(story, 0.6),
}
MEMORISED_TASKS: Mapping[str, Task] = {
    "fact": Task(memorised.fact, 0.8),
    "chat": Task(memorised.small_talk, 0.6),
    "recall": Task(memorised.recall, 0.3),
}
DRILLS: Mapping[str, Task] = {"same_attribute": Task(passages.same_attribute, 14.0)}
"""Easier kinds of a task, trained on and never counted."""
ALL = {**CHECKABLE, **MEMORISED_TASKS, **DRILLS}


def draw_problem(rng: Random, split: Split, task: str | None = None) -> Problem:
    """A problem of a split, of one task or of any by weight."""
    while True:
        name = task or rng.choices(list(ALL), [entry.weight for entry in ALL.values()])[0]
        problem = ALL[name].draw(rng)
        if belongs_to(problem, split):
            return problem


def vary(rng: Random, problem: Problem) -> Problem:
    """A training problem, sometimes after a finished exchange or a system message."""
    turns = problem.turns
    if rng.random() < TURNS_SHARE:
        before = draw_problem(rng, "train")
        turns = (*before.turns, Turn("assistant", before.answer), *turns)
    if rng.random() < SYSTEM_SHARE:
        turns = (Turn("system", rng.choice(SYSTEM_MESSAGES)), *turns)
    return replace(problem, turns=turns)
