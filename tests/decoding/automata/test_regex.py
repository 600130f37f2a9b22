"""Regular expressions against Python's, on all short texts."""

import json
import re

import pytest

from tests.support.automata import language, texts
from unmask.decoding.automata.characters import json_character
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.regex import regex

PATTERNS = (
    *("", "a", "(ab)*", "a{2,3}b?", "(a|ab|b1)(2|12)?", "a??b+?", "a|", "(a*)*", "a{2}", "a{1,}b"),
    *("^a$", "^(a|b)+$", "(^a|b$)", "((^a$)|^b)", "^^a$$", r"\Aab\Z"),
    *("[^ab]", "[a-c1]{0,2}b", r"[\]a\-]b?", r"[^\d]a", r"[a\d]+", "[a-]", "[.*+]", r"[\s\w]"),
    *(r"\d\w?", r"\S\s", r"\x61\u0062", r"\u{31}", r"\[a\.", "a.b", r"\é{2}"),
    *("(?:a|(?P<n>b))*1(a|b)", "(?<n>a)b", "(a|b)*1(a|b)", "x{,", "a{b", "a{1"),
)
# Python spells these otherwise.
PYTHONS = {r"\u{31}": "1", "(?<n>a)b": "ab"}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_match_as_in_python(pattern: str) -> None:
    python = re.compile(PYTHONS.get(pattern, pattern), re.ASCII)
    whole = language(regex(pattern))
    within = language(regex(pattern, searches=True))
    quoted = language(regex(pattern, searches=True, character=json_character))
    for text in (*texts("ab12 é", 3), *texts("ab1", 5), *texts("[{.-\\x]", 3)):
        assert whole.matches(text.encode()) == bool(python.fullmatch(text)), text
        assert within.matches(text.encode()) == bool(python.search(text)), text
        inner = json.dumps(text, ensure_ascii=False)[1:-1]
        assert quoted.matches(inner.encode()) == bool(python.search(text)), text


LOOKS = (
    *("^(?=a)", "^(?!a)", "(?!a).", "a(?=b)", "a(?!b)", "^a(?!b).*1", "^(?!a|b1)[^2]*$", "(?=b)a"),
    *("^(?!.*aa)[ab]*$", "^(?=.*1)(?=.*[ab]).{2,}$", "^(?!(ab)*$)", "(?=a$)", "^(?!^1*$)1*a?1*$"),
    *("(?:(a+)|(?!.*b)1(?=2)2?)$", "^(a(?=1))?1*b?$", "^((?!a)|b(?=b|1)).*", "(a|b(?!1)(?!b))2?$"),
    *("^(?!(?=a)a)", "^(?!(?!a))", r"^(?!\s)\S*$", "^(?!)a?", "^(?=)a"),
)


@pytest.mark.parametrize("pattern", LOOKS)
def test_lookahead_is_as_in_python(pattern: str) -> None:
    python = re.compile(pattern, re.ASCII)
    whole = language(regex(pattern, looks=True))
    quoted = language(regex(pattern, searches=True, looks=True, character=json_character))
    for text in (*texts("ab12 é", 3), *texts("ab1", 5)):
        assert whole.matches(text.encode()) == bool(python.fullmatch(text)), text
        inner = json.dumps(text, ensure_ascii=False)[1:-1]
        assert quoted.matches(inner.encode()) == bool(python.search(text)), text


SPACES = (r"^[^\s]$", r"^[^\S]$", r"^(?!\s).$", r"^(?![^\S])[^a]$", r"^(?!.*a)", "^(?!.b$)")
WORDS = (r"\Wa", r"^\D$", r"^[^\w\s]", r"^[^\d]*$", r"(?!\w)\W|(?!1)\d", r"^(?!\W)", r"^(?!\D)")


@pytest.mark.parametrize("pattern", [*LOOKS, *SPACES, *WORDS])
def test_what_matches_in_one_language_alone_is_left_out(pattern: str) -> None:
    quoted = language(regex(pattern, searches=True, looks=True, character=json_character))
    for text in texts("ab\n\r\u00a0\u2028\x1cé٣", 3):
        inner = json.dumps(text, ensure_ascii=False)[1:-1]
        for flags in (re.ASCII, re.UNICODE):
            assert re.search(pattern, text, flags) or not quoted.matches(inner.encode()), text


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        (r"\W+", "! \n—、😀", "aé漢٣_½Ⓐ\u0301"),
        (r"\D+", "aé漢!½", "7٣"),
        (r"[\s\S]+|[\d\D]+|[\w\W]+", "a é\u3000\u00a0٣\n", ""),
    ],
)
def test_classes_have_the_characters_of_all_languages(
    pattern: str, matches: str, others: str
) -> None:
    found = language(regex(pattern))
    assert found.matches(matches.encode())
    assert not any(found.matches(character.encode()) for character in others)


EMAIL = (  # of zod
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+"
    r"[A-Za-z]{2,}$"
)
DURATION = (
    r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?"
    r"(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"
)
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"  # of pydantic


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        (EMAIL, ["a.b@c.de", "_@a-b.c.info"], [".a@b.cd", "a..b@c.de", "a@b", "a@b.c"]),
        ("|".join(["a"] * 100 + ["(?=b)."]), ["a", "b", "ca"], ["c"]),
        (DURATION, ["P2W", "PT5M", "P1Y2DT3.5S"], ["P", "PT", "P1YT", "P1Y2W", "2W"]),
        (DECIMAL, ["1", "-0.5", ".5", "+12."], ["", "-", "+.", "1.2.3"]),
    ],
)
def test_patterns_that_libraries_write_are_read(
    pattern: str, matches: list[str], others: list[str]
) -> None:
    found = language(regex(pattern, searches=True, looks=True, character=json_character))
    assert [found.matches(text.encode()) for text in matches] == [True] * len(matches)
    assert [found.matches(text.encode()) for text in others] == [False] * len(others)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?:(?!a)b)*", "repeated"),
        ("(?:a(?:(?!a)b){2})", "repeated"),
        ("(a(?=1)|b|c)" * 4, "over 64 ways"),
        ("(?=a)" * 9, "at most 8 lookaheads"),
        ("(?=a)" + "a" * 2000, "2,000 characters"),
        ("^(?=a)+", "cannot be repeated"),
        ("a(?!^b)", "ends of a pattern"),
        ("(?=a", "missing \\)"),
    ],
)
def test_other_lookahead_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises((InvalidGrammar, GrammarTooLarge), match=reason):
        language(regex(pattern, searches=True, looks=True))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(?=b)", "character 2 .* lookahead"),
        ("(?<!a)b", "lookbehind"),
        (r"(a)\1", "character 3 .* back references"),
        ("(?P<n>a)(?P=n)", "back references"),
        (r"\bа", "word boundaries"),
        (r"\p{L}", "Unicode properties"),
        ("(?i)a", "flags"),
        ("(?>a)", "atomic groups"),
        ("a++", "possessive"),
        ("a**", "multiple repeat"),
        ("*a", "nothing to repeat"),
        ("a|{2}", "nothing to repeat"),
        ("a{3,2}", "out of order"),
        ("a{,2}", "{0,n}"),
        ("^*", "an anchor"),
        ("a$b", "ends of a pattern"),
        ("(^a)b", "ends of a pattern"),
        ("(a", "missing \\)"),
        ("a)", "unbalanced"),
        ("[a", "missing \\]"),
        ("[b-a]", "out of order"),
        (r"[a-\d]", "of a class"),
        ("[]a]", "begins with ]"),
        (r"[^\d\D]", "no characters"),
        ("\\", "too early"),
        (r"\xzz", "hexadecimal"),
        (r"\u{110000}", "no character"),
        (r"\ud800", "no character"),
        (r"\ud800\udzzz", "no character"),
        (r"\ud800\ud800", "no character"),
        (r"\x+1", "hexadecimal"),
        (r"\u{1_0}", "hexadecimal"),
        (r"\u{}", "hexadecimal"),
        ("\ud800", "surrogate"),
        (r"\q", "unknown escape"),
        ("(" * 100 + ")" * 100, "deep"),
    ],
)
def test_other_constructs_are_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidGrammar, match=reason):
        language(regex(pattern))


def test_surrogate_escapes_are_one_character() -> None:
    smiley = language(regex(r"\ud83d\ude00"))
    assert smiley.matches("😀".encode())


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "pattern",
    [
        *("((a{1000}){1000}){1000}", "(a|b)*a(a|b){30}", "a" * 50_000),
        *("a{100000}", "a{1,100000}", "[0-9]{262144,}"),
    ],
)
def test_explosions_end_at_a_limit(pattern: str) -> None:
    with pytest.raises(GrammarTooLarge, match=r"over|at most|a count"):
        language(regex(pattern))
