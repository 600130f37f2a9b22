"""Sets of characters, and their UTF-8."""

from random import Random

import pytest

from tests.support.automata import language
from unmask.decoding.automata.characters import (
    ALL,
    ANY_JSON_STRING,
    PLAIN,
    Characters,
    utf8,
)

ENDS = (0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0xFFFFF, 0x10FFFF)


def test_utf8_of_a_range_is_that_of_its_characters() -> None:
    random = Random(0)
    for _ in range(60):
        low, high = sorted(max(0, random.choice(ENDS) + random.randint(-70, 70)) for _ in range(2))
        found = language(utf8(Characters.of(((low, min(high, 0x10FFFF)),))))
        near = {end + i for end in (low, high, *ENDS) for i in range(-66, 67)}
        for code in (c for c in near if 0 <= c <= 0x10FFFF and not 0xD800 <= c <= 0xDFFF):
            assert found.matches(chr(code).encode()) == (low <= code <= high), (low, high, code)


@pytest.mark.parametrize(
    "data", ["eda080", "c080", "f4908080", "e08080", "f0808080", "80", "c3", "ff", ""]
)
def test_bytes_that_are_no_character_do_not_match(data: str) -> None:
    assert not language(utf8(ALL)).matches(bytes.fromhex(data))


def test_sets_are_joined_and_cut() -> None:
    letters = Characters.in_text("abcx")
    assert letters.ranges == ((97, 99), (120, 120))
    assert (letters - Characters.in_text("b")).ranges == ((97, 97), (99, 99), (120, 120))
    assert (letters & Characters.in_text("xyz")).ranges == ((120, 120),)
    assert ~~letters == letters
    assert not (~ALL).ranges
    assert '"' not in PLAIN
    assert "\n" not in PLAIN
    assert "é" in PLAIN


@pytest.mark.parametrize(
    ("text", "is_string"),
    [
        (r'"\u00e9\n\/"', True),
        (r'"\ud83d\ude00"', True),
        ('"é😀\x7f"', True),
        (r'"\ud83d"', False),
        (r'"\ude00"', False),
        (r'"\x"', False),
        ('"\n"', False),
        ('"a', False),
    ],
)
def test_strings_have_the_escapes_of_json(text: str, is_string: bool) -> None:
    assert language(ANY_JSON_STRING).matches(text.encode()) == is_string
