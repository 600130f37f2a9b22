"""Texts without tags, and strings other than some."""

import json

import pytest

from tests.support.automata import language, texts
from unmask.decoding.automata.free_text import other_strings, text_without
from unmask.decoding.automata.limits import Budget


@pytest.mark.parametrize("tags", [(), ("ab",), ("aab", "b1"), ("aa", "a1a"), ("abab", "ba", "1")])
def test_text_contains_no_tag(tags: tuple[str, ...]) -> None:
    found = language(text_without(tags))
    for text in texts("ab1é", 6):
        assert found.matches(text.encode()) == (not any(tag in text for tag in tags)), text


@pytest.mark.parametrize("words", [(), ("",), ("a", "ab", "abé"), ("b\n", '"'), ("ab1", "ba")])
def test_strings_are_none_of_the_words(words: tuple[str, ...]) -> None:
    found = language(other_strings(words, Budget()))
    for text in texts('ab1é\n"', 4):
        quoted = json.dumps(text, ensure_ascii=False).encode()
        assert found.matches(quoted) == (text not in words), text
