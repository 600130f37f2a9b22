"""The type of one recipe of Python, and the grammar of the phrases that say what it does."""

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from training.wordings import expand

Form = Literal["function", "class", "snippet"]

NOUN, CONDITION, VERB = "=", "?", "*"
# Objects of phrases; `{a}` and `{b}` are the parameters of a function.
OBJECTS = {
    "$strs": "[a list of strings|a list of words|some words|several strings|the list {a}]",
    "$str": "[a string|a string|a string|a text|a word|a given string|the string {a}]",
    "$text": "[a sentence|a text|a string|a phrase|some text|the text {a}]",
    "$nums": "[a list of numbers|a list of numbers|a list of integers|an array|the list {a}]",
    "$num": "[a number|a number|a number|an integer|a given number|{a}|the number {a}]",
    "$list": "[a list|a list|a list|a given list|an array|the list {a}]",
    "$two": "[two numbers|two numbers|2 numbers|two integers|{a} and {b}|the numbers {a} and {b}]",
    "$dict": "[a dictionary|a dict|a dictionary|a given dictionary|the dictionary {a}]",
}
VALUES = "[return|return|compute|calculate|find|get|give|work out|determine]"
CHECKS = "[check|check|test|tell|determine|see|find out|say|decide] [if|whether]"
TRUTHS = ("and False otherwise", "and False if not", "or False", "else False", "")
DOUBLED = frozenset(
    "get put cut set swap trim split flip sum zip strip drop map chop cap run".split()
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A small piece of Python: its source, ways to ask for it, and expressions that prove it.

    Sources and expressions are format strings over names that `training.tasks.code.recipes` draws.
    A phrase is a verb with its object, in base form; further verbs have a `*`. One with `=` is the
    value that is returned, one with `?` a condition that is checked; those of a class are nouns.
    Topics are what is typed into a search engine. Without expressions a source is checked as text.
    """

    kind: str
    source: str
    phrases: tuple[str, ...]
    topics: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    form: Form = "function"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """One phrase in three forms: `reverse a string`, `reverses a string`, `reversing a string`."""

    do: str
    does: str
    doing: str


def third_person(verb: str) -> str:
    """The verb after `it`."""
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def gerund(verb: str) -> str:
    """The verb with -ing."""
    if verb in DOUBLED:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return verb + "ing"


def phrase_text(rng: Random, phrase: str) -> str:
    """A phrase with its objects and alternatives chosen; verbs are still marked."""
    if phrase.startswith(NOUN):
        phrase = f"{VALUES} {phrase[1:]}"
    elif phrase.startswith(CONDITION) and rng.random() < 0.2:
        phrase = f"[return|give] True if {phrase[1:]} {rng.choice(TRUTHS)}"
    elif phrase.startswith(CONDITION):
        phrase = f"{CHECKS} {phrase[1:]}"
    for mark, options in OBJECTS.items():
        phrase = phrase.replace(mark, options)
    return expand(rng, phrase)


def inflected(text: str) -> Said:
    """A chosen phrase in its three forms."""
    first = text.split()[0]
    is_adverb = first.endswith("ly") and first != "multiply"
    if not is_adverb and first not in ("just", "always"):
        text = VERB + text
    verb = re.compile(r"\*(\w+)")
    return Said(
        verb.sub(r"\1", text),
        verb.sub(lambda found: third_person(found[1]), text),
        verb.sub(lambda found: gerund(found[1]), text),
    )
