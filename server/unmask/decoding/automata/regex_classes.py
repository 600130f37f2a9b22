"""Classes of regular expressions: `\\d`, `\\w`, `\\s` and all others, `\\D`, `\\W`, `\\S`.

ECMAScript's digits and letters are ASCII, those of Python and of Rust are Unicode's.
"""

from functools import cache
from itertools import groupby

from unmask.decoding.automata.characters import Characters

DIGITS = Characters.of(((0x30, 0x39),))
WORD = DIGITS | Characters.of(((0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
# Signs, punctuation and emoji, which are in no word: few ranges, of which automata stay small.
SIGNS = (
    Characters.of(
        (
            *((0x00, 0xA9), (0xAB, 0xB1), (0xBB, 0xBB), (0xBF, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7)),
            *((0x2010, 0x203E), (0x20A0, 0x20BF), (0x2190, 0x23FF), (0x2500, 0x2775)),
            *((0x3000, 0x3004), (0x3008, 0x3020), (0xFF01, 0xFF0F), (0x1F300, 0x1FAFF)),
        )
    )
    - WORD
)
SPACES = Characters.in_text("\t\n\v\f\r ")
OTHER_SPACES = Characters.of(
    (
        *((0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
        *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
        (0xFEFF, 0xFEFF),
    )
)
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACES}
NAMES = frozenset("dDwWsS")
PAST_DIGITS = 0x20000  # no decimal digit has a larger code


def class_of(name: str, *, widens: bool) -> Characters:
    """Characters that are of a class in every language, or in any if it `widens`."""
    negates = name.isupper()
    own = _wide(name.lower()) if widens != negates else CLASSES[name.lower()]
    return ~own if negates else own


@cache
def _wide(name: str) -> Characters:
    match name:
        case "d":
            return _decimal_digits()
        case "w":
            return ~SIGNS
    return SPACES | OTHER_SPACES


def _decimal_digits() -> Characters:
    runs = groupby(range(PAST_DIGITS), lambda code: chr(code).isdecimal())
    found = [list(codes) for is_digit, codes in runs if is_digit]
    return Characters.of((codes[0], codes[-1]) for codes in found)
