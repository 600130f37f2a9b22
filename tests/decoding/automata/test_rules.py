"""Rules: exact where they are regular, else the texts that nest a few times; never others."""

import time
from contextlib import suppress
from random import Random

import pytest

from tests.support.automata import language, texts
from tests.support.grammars import derived, random_grammar
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.gbnf import read_gbnf
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.rules import MAX_NESTING, MAX_STATES, language_of_rules

# Rules that are regular, however they are written, and the same as an expression.
LOOPS = {
    'root ::= "a" root | "b"': "a*b",
    'root ::= root "a" | "b"': "ba*",
    'root ::= "c" root | root "a" | "b"': "c*ba*",
    'root ::= root "c" root | root "a" | "a" root | "b"': "a*b(a|ca*b)*",
    'root ::= [ab] ("c" root)?': "[ab](c[ab])*",
    'root ::= "a" x | "b"\nx ::= "c" root | "c"': "(ac)*(ac|b)",
    'root ::= x "a" | "b"\nx ::= root "c" | "c"': "(ca|b)(ca)*",
    'root ::= x y\nx ::= [ab]\ny ::= "c" root | ""': "[ab](c[ab])*",
    'root ::= x | y | "a"\nx ::= root "b" | "c"\ny ::= x "c"': "(a|cc?)(bc?)*",
    "root ::= root | x\nx ::= root | [ab] | root [c]": "[ab]c*",
}


def compiled(text: str, limits: Limits | None = None) -> ByteAutomaton:
    return language(language_of_rules(read_gbnf(text), Budget(limits or Limits())))


@pytest.mark.parametrize("rules", LOOPS)
def test_rules_that_begin_or_end_with_each_other_are_loops(rules: str) -> None:
    made, expected = compiled(rules), language(regex(LOOPS[rules]))
    assert made.moves.shape == expected.moves.shape
    for text in texts("abc", 7):
        assert made.matches(text.encode()) == expected.matches(text.encode()), text


def test_rules_match_words_that_they_derive() -> None:
    """No word of five symbols nests more often than rules are followed, if none is empty."""
    num_equal = 0
    for seed in range(40):
        text = random_grammar(Random(seed))
        rules = read_gbnf(text)
        made, expected = language(language_of_rules(rules, Budget())), derived(rules, 5)
        found = {word.encode() for word in texts("abc", 5) if made.matches(word.encode())}
        assert found <= expected, text
        num_equal += found == expected or any(sign in text for sign in ("?", "*"))
    assert num_equal >= 39  # others have automata too large to be followed that deep


def test_brackets_within_brackets_are_followed_to_a_depth() -> None:
    made = compiled('root ::= "a" | "(" root ")"')
    for depth in range(MAX_NESTING + 3):
        text = "(" * depth + "a" + ")" * depth
        assert made.matches(text.encode()) == (depth <= MAX_NESTING), depth
    operators = compiled('root ::= x ("+" x)*\nx ::= y | x "*" y\ny ::= "a" | "(" root ")"')
    assert operators.matches(b"a+a*a*a+(((((a+a)*a))))*a+((a))" + b"*a+a" * 50)


def test_many_brackets_are_followed_as_deep_as_the_automaton_stays_small() -> None:
    kinds = " | ".join(f'"{i}" ([a-z]{{9}} root){{2}} "{i}"' for i in range(8))
    made = compiled(f"root ::= [a-z] | {kinds}")
    assert len(made.moves) <= MAX_STATES
    one = b"0" + 2 * b"aaaaaaaaaa" + b"0"
    assert made.matches(one)
    assert made.matches(b"1" + 2 * (9 * b"a" + one) + b"1")


def test_rules_that_end_in_no_text_match_nothing() -> None:
    for text in ('root ::= "a" root', "root ::= root", "root ::= x\nx ::= root", "root ::= []"):
        assert not len(compiled(text).columns)
    assert compiled('root ::= "a" root | "b" | x\nx ::= "(" x ")"').matches(b"aab")


@pytest.mark.parametrize(
    "text",
    [
        "root ::= " + "\n".join(f"r{i} r{i}\nr{i} ::=" for i in range(40)) + ' ""',
        "root ::= " + "\n".join(f"r{i} r{i}\nr{i} ::=" for i in range(40)) + ' "a"',
        "root ::= " + "\n".join(f"r{i}\nr{i} ::=" for i in range(4000)) + ' "a"',
        "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000,
        "root ::= " + "(" * 200 + '"a" | root' + '| root ) ("a" | root)' * 200,
        'root ::= "a"{1,9999}{1,9999}',
        "root ::= "
        + " | ".join(f"root x{i} root" for i in range(300))
        + "".join(f'\nx{i} ::= "{i}" root "a" | root' for i in range(300)),
        f'root ::= "{"a" * 100_000}"',
    ],
    ids=["doubled empty", "doubled", "chain", "groups", "ends", "repeated", "wide", "long"],
)
def test_hostile_rules_end_in_time(text: str) -> None:
    start = time.thread_time()
    with suppress(GrammarTooLarge, InvalidGrammar):
        compiled(text, Limits(seconds=1.0))
    assert time.thread_time() - start < 4
