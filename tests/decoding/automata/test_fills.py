"""Answers to schemas of several sizes, filled at random over the embedded tokenizer's tokens."""

import functools
import json
from random import Random

import pytest

from benchmarks.structured_output import EMBEDDED, SCHEMAS
from benchmarks.structured_output import EMBEDDED_EOS as EOS
from benchmarks.structured_output import EMBEDDED_TOKENS as NUM_TOKENS
from tests.support.automata import denoise
from tests.support.json_schema import is_valid
from unmask.decoding.automata.cache import AutomatonCache
from unmask.decoding.automata.token_texts import TokenTexts, read_token_texts
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.grammar import Grammar, JsonObject, choice_of, json_schema_of

CACHE = AutomatonCache()


@functools.cache
def embedded() -> tuple[TokenTexts, Vocabulary]:
    texts = read_token_texts(EMBEDDED.read_text(encoding="utf-8"), NUM_TOKENS)
    return texts, make_vocabulary(texts.tokens, [EOS], texts.specials)


def answers(grammar: Grammar, seed: int) -> list[str]:
    """Texts of random fills, at the least number of tokens and above."""
    texts, vocabulary = embedded()
    made, random = CACHE.automaton(vocabulary, grammar), Random(seed)
    found = []
    for spare in (0, 1, 30):
        tokens = denoise(made, random, random.choice((4, 16, 32)), made.shortest + spare)
        size = tokens.index(EOS) if EOS in tokens else len(tokens)
        found.append(b"".join(texts.tokens[i] or b"" for i in tokens[:size]).decode())
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCHEMAS)
def test_random_fills_of_a_schema_are_valid(name: str, seed: int) -> None:
    for text in answers(json_schema_of(SCHEMAS[name]), seed):
        assert is_valid(json.loads(text), SCHEMAS[name]), text


def test_random_fills_of_any_object_are_objects() -> None:
    for text in answers(JsonObject(), 0):
        assert isinstance(json.loads(text), dict)


def test_random_fills_of_a_choice_are_one_of_its_texts() -> None:
    texts = ("positive", "negative", "neutral, perhaps")
    assert set(answers(choice_of(texts), 0)) <= set(texts)
