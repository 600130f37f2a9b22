"""Every closed set of knowledge, with its share."""

from collections.abc import Callable, Mapping

from training.tasks.facts.countries import country_fact
from training.tasks.facts.dates import date
from training.tasks.facts.definitions import definition
from training.tasks.facts.listings import listing
from training.tasks.facts.nature import nature
from training.tasks.facts.translations import translation
from training.tasks.facts.trivia import trivia
from training.tasks.facts.vocabulary import vocabulary
from training.tasks.facts.words_alike import words_alike
from training.tasks.problem import Problem
from training.wordings import Draw

FACTS: Mapping[str, tuple[Callable[[Draw], Problem], float]] = {
    "country": (country_fact, 1.6),
    "vocabulary": (vocabulary, 1.6),
    "words": (words_alike, 1.0),
    "translation": (translation, 1.4),
    "date": (date, 0.9),
    "nature": (nature, 1.4),
    "trivia": (trivia, 1.2),
    "definition": (definition, 0.8),
    "listing": (listing, 0.7),
}
"""Generators of closed sets by the name of their task, and their weights."""
