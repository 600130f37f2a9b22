"""Rules: exact where they are regular, else the texts that nest a few times; never others."""

import time
from contextlib import suppress
from random import Random

import pytest

from tests.support.automata import language, texts
from tests.support.grammars import derived, random_grammar
from unmask.decoding.automata.errors import GrammarTooLarge, GrammarTooSlow, InvalidGrammar
from unmask.decoding.automata.expressions import num_symbols
from unmask.decoding.automata.gbnf import read_gbnf
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.linear import linear
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


@pytest.mark.parametrize("middle", [f'"{"a" * 2000}"', '"a"' * 2000, '"a"{2000}'])
def test_groups_whose_product_is_long_are_not_multiplied_out(middle: str) -> None:
    """A group of 31 rules, a long text and 31 rules more would be 961 long alternatives."""
    names = [f"{side}{i}" for side in "xy" for i in range(31)]
    own = [f'{n} ::= root "a"' if n[0] == "x" else f'{n} ::= "b" root' for n in names]
    groups = " | ".join(names[:31]), " | ".join(names[31:])
    root = f'root ::= ({groups[0]}) {middle} ({groups[1]}) | "q"'
    made = linear(read_gbnf("\n".join((root, *own))).bodies, "root", Budget())
    assert sum(map(num_symbols, made.values())) < 10_000


@pytest.mark.parametrize("side", ["root {0}", "{0} root"])
@pytest.mark.parametrize("others", ["", ' | x\nx ::= root "y" | "y" root'])
def test_rules_of_many_alternatives_look_at_the_time(side: str, others: str) -> None:
    """Rules that begin or end with themselves, alone and with others."""
    alternatives = (side.format(f'"{i}" "a"') for i in range(500))
    rules = read_gbnf(f'root ::= {" | ".join(alternatives)} | "q"{others}')
    budget = CountingBudget()
    linear(rules.bodies, rules.start, budget)
    assert budget.count >= 1000  # once where it is read, and once where it is written
    for most in (300, 900):
        with pytest.raises(GrammarTooSlow):
            linear(rules.bodies, rules.start, CountingBudget(most))


class CountingBudget(Budget):
    """Budget whose time is over after so many looks at it."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.count, self.most = 0, most

    def check_time(self) -> None:
        self.count += 1
        if self.most is not None and self.count > self.most:
            raise GrammarTooSlow(self.limits.seconds)


def test_rules_that_end_in_no_text_match_nothing() -> None:
    for text in ('root ::= "a" root', "root ::= root", "root ::= x\nx ::= root", "root ::= []"):
        assert not len(compiled(text).columns)
    assert compiled('root ::= "a" root | "b" | x\nx ::= "(" x ")"').matches(b"aab")


@pytest.mark.usual_cases(2)
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
