"""Every task with its share of the training data, and drawing from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from training.tasks.beyond import requests as beyond
from training.tasks.beyond import texts as beyond_texts
from training.tasks.code import fixing as code_fixing
from training.tasks.code import functions as code
from training.tasks.code import reading as code_reading
from training.tasks.code.terms import explain_term
from training.tasks.facts.facts import FACTS
from training.tasks.json import broken as json_broken
from training.tasks.json import build as json_build
from training.tasks.json import describe as json_describe
from training.tasks.json import edit as json_edit
from training.tasks.json import extract as json_extract
from training.tasks.json import read as json_read
from training.tasks.json import sample as json_sample
from training.tasks.json import schema as json_schema
from training.tasks.json import text as json_text
from training.tasks.numbers import arithmetic, comparisons, expressions, numerals
from training.tasks.numbers import drills as number_drills
from training.tasks.numbers import facts as number_facts
from training.tasks.numbers import lists as number_lists
from training.tasks.numbers import tables as number_tables
from training.tasks.passages import labels, reading, reasoning
from training.tasks.passages import lookup as passages
from training.tasks.passages.happenings import happening
from training.tasks.passages.notices import notice
from training.tasks.passages.story import story
from training.tasks.problem import Problem, Split, Turn, belongs_to
from training.tasks.sql import drills as sql_drills
from training.tasks.sql import queries as sql
from training.tasks.talk import recall, talk, verses
from training.tasks.text import (
    categories,
    copying,
    counting,
    drills,
    everyday,
    infill,
    letter_drills,
    letters,
    lists,
    sequences,
    strings,
)
from training.tasks.tools import calls as tools
from training.tasks.word_problems import clock, conversions
from training.tasks.word_problems import problems as word_problems
from training.wordings import Draw, NoHeldOutWords

SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are a small diffusion language model.",
    "Answer briefly.",
    "You are an assistant. Be exact.",
    "You are a helpful, honest and concise assistant.",
    "You are unmask, a small model that answers short requests.",
    "Be concise.",
    "You answer questions.",
    "You are a chatbot.",
    "Reply in English.",
)
RAW_SHARE, TURNS_SHARE, SYSTEM_SHARE = 0.1, 0.08, 0.12
Generator = Callable[[Draw], Problem]


@dataclass(frozen=True, slots=True)
class Task:
    """A generator of problems and how often it is drawn."""

    draw: Generator
    weight: float


def mixed(*parts: tuple[Generator, float]) -> Task:
    """A task of several generators, each with its weight."""
    generators, weights = zip(*parts, strict=True)

    def draw(draw: Draw) -> Problem:
        [generator] = draw.rng.choices(generators, weights)
        problem: Problem = generator(draw)
        return problem

    return Task(draw, sum(weights))


COUNTED: Mapping[str, Task] = {
    # Numbers.
    "add": Task(arithmetic.addition, 2.5),
    "sub": Task(arithmetic.subtraction, 3.0),
    "mul": Task(arithmetic.multiplication, 4.0),
    "div": Task(arithmetic.division, 4.0),
    "sum_list": Task(arithmetic.sum_of_list, 1.5),
    "cmp": Task(comparisons.comparison, 2.0),
    "mix": Task(expressions.mixed_operations, 1.5),
    "solve": Task(expressions.equation, 2.0),
    "check": Task(expressions.check_equation, 2.0),
    "num": Task(numerals.number_words, 1.0),
    "roman": Task(numerals.roman_numeral, 2.0),
    "binary": Task(numerals.binary_number, 1.0),
    "number": Task(number_facts.number_fact, 3.0),
    "number_list": Task(number_lists.number_list, 2.0),
    "counting": Task(number_lists.count, 3.0),
    "sequence": Task(number_lists.sequence, 2.5),
    "number_table": Task(number_tables.number_table, 2.0),
    "word": Task(word_problems.word_problem, 7.0),
    "unit": Task(conversions.conversion, 5.0),
    "clock": Task(clock.clock, 2.0),
    # Words and lists.
    "sort": Task(sequences.sort_numbers, 4.0),
    "wsort": Task(sequences.sort_words, 6.0),
    "rev": Task(sequences.reverse, 2.0),
    "copy": Task(copying.copy, 2.0),
    "brack": Task(copying.close_brackets, 1.5),
    "count": mixed(
        (counting.count_word, 2.0), (counting.count_letters, 3.5), (counting.count_items, 1.5)
    ),
    "letters": Task(letters.letters_of_word, 5.5),
    "string": Task(strings.change_text, 4.5),
    "edit": Task(strings.edit_text, 5.0),
    "list": Task(lists.edit_list, 6.0),
    "layout": Task(lists.lay_out_list, 2.0),
    "kind": Task(categories.kind_of_thing, 2.0),
    "infill": Task(infill.fill_blank, 3.5),
    # JSON, SQL, code and tools.
    "json": mixed((json_extract.text_to_json, 2.5), (json_build.data_to_json, 3.0)),
    "json_sample": Task(json_sample.sample_json, 0.4),
    "json_schema": Task(json_schema.answer_in_json, 4.0),
    "json_describe": Task(json_describe.describe_json, 0.5),
    "json_edit": Task(json_edit.edit_json, 4.0),
    "json_read": Task(json_read.read_json, 3.0),
    "json_fix": Task(json_broken.fix_json, 0.6),
    "json_text": Task(json_text.json_to_text, 1.5),
    "sql": Task(sql.sql_query, 4.0),
    "code": Task(code.python_function, 3.5),
    "python": Task(code.known_python, 5.0),
    "code_fix": Task(code_fixing.fix_python, 2.0),
    "code_read": Task(code_reading.read_python, 4.0),
    "code_term": Task(explain_term, 0.5),
    "tool": mixed((tools.tool_call, 4.0), (tools.tool_follow_up, 0.4)),
    "tools": Task(tools.tool_calls, 2.5),
    "tool_none": mixed((tools.tool_lacking, 0.6), (tools.tool_unneeded, 0.8)),
    "tool_missing": Task(tools.tool_missing, 1.2),
    "tool_result": Task(tools.tool_result, 2.0),
    "tool_names": Task(tools.tool_names, 0.5),
    # Texts.
    "passage": Task(passages.fact_lookup, 10.0),
    "summary": Task(reading.summary, 1.2),
    "extract": Task(reading.extraction, 1.2),
    "sentiment": Task(labels.sentiment, 1.0),
    "classify": mixed(
        (labels.topic, 1.0), (labels.word_category, 0.7), (labels.sentence_kind, 0.5)
    ),
    "compare": Task(reasoning.compared, 2.0),
    "story": Task(story, 1.5),
    "verse": Task(verses.verse, 0.6),
    # Conversation.
    "chat": Task(talk.talk, 3.5),
    "recall": Task(recall.recall, 2.5),
    "beyond": Task(beyond.beyond, 9.0),
    **{name: Task(generator, weight) for name, (generator, weight) in FACTS.items()},
}
DRILLS: Mapping[str, Task] = {
    "same_attribute": Task(passages.same_attribute, 4.0),
    "happening": Task(happening, 8.0),
    "notice": Task(notice, 8.0),
    "drill": mixed(
        (drills.repeat_long, 4.0),
        (drills.lay_out_long, 5.0),
        (drills.look_up, 6.0),
        (drills.edit_long, 4.0),
        (letter_drills.spell_words, 2.0),
        (letter_drills.change_case, 3.0),
        (letter_drills.pick_places, 2.0),
        (letter_drills.order_pairs, 2.0),
        (number_drills.ranges, 1.5),
        (number_drills.checks, 1.0),
    ),
    "everyday": Task(everyday.everyday, 7.0),
    "sql_clauses": Task(sql_drills.several_clauses, 2.0),
    "beyond_texts": mixed((beyond_texts.on_a_text, 1.5), (beyond_texts.errand, 1.5)),
}
"""Easier kinds of a task and more wordings, trained on and never counted."""
ALL = {**COUNTED, **DRILLS}
NAMES, WEIGHTS = list(ALL), [task.weight for task in ALL.values()]


def draw_problem(
    rng: Random,
    split: Split,
    task: str | None = None,
    *,
    words: Split | None = None,
    rewords: bool = False,
) -> Problem:
    """A problem of a split, of one task or of any by weight, in the words of a split.

    Tables and closed sets have no held-out problems: held-out words ask for those of training.
    `rewords` is for training: some requests leave the words of their templates.
    """
    draw = Draw(rng, words or split, rewords)
    while True:
        name = task or rng.choices(NAMES, WEIGHTS)[0]
        draw.said.clear()
        try:
            problem = ALL[name].draw(draw)
        except NoHeldOutWords:
            continue
        if belongs_to(problem, split, has_own_words=draw.words != "train"):
            return replace(problem, task=name, said=tuple(draw.said))


def vary(rng: Random, problem: Problem) -> Problem:
    """A training problem, sometimes after a finished exchange or a system message."""
    turns = problem.turns
    system = turns[:1] if turns[0].role == "system" else ()
    if rng.random() < TURNS_SHARE:
        before = draw_problem(rng, "train", rewords=True)
        if before.turns[0].role != "system" and not before.tools:
            answer = Turn("assistant", before.answer)
            turns = (*system, *before.turns, answer, *turns[len(system) :])
    if not system and rng.random() < SYSTEM_SHARE:
        turns = (Turn("system", rng.choice(SYSTEM_MESSAGES)), *turns)
    return replace(problem, turns=turns)
