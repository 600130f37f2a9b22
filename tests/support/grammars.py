"""Rules by definition: the words that they derive; and random rules to ask about."""

from random import Random

from unmask.decoding.automata.expressions import (
    Call,
    Concatenation,
    Expression,
    OneOf,
    Repetition,
    Union,
)
from unmask.decoding.automata.rules import Rules


def derived(rules: Rules, most: int) -> set[bytes]:
    """Words of at most so many bytes that the rules derive, by the least fixed point."""
    known: dict[str, set[bytes]] = {name: set() for name in rules.bodies}
    while True:
        fresh = {name: _words(body, known, most) for name, body in rules.bodies.items()}
        if fresh == known:
            return known[rules.start]
        known = fresh


def _words(body: Expression, known: dict[str, set[bytes]], most: int) -> set[bytes]:
    match body:
        case OneOf(symbols):
            return {bytes((symbol,)) for symbol in symbols}
        case Call(name):
            return known[name]
        case Concatenation(parts):
            found = {b""}
            for part in parts:
                found = _joined(found, _words(part, known, most), most)
            return found
        case Union(parts):
            return set().union(*(_words(part, known, most) for part in parts))
        case Repetition(part, least, bound, separator):
            one, between = _words(part, known, most), _words(separator, known, most)
            now, found = {b""}, {b""} if least == 0 else set()
            for count in range(1, (most + least + 1 if bound is None else bound) + 1):
                now = _joined(_joined(now, between, most) if count > 1 else now, one, most)
                found |= now if count >= least else set()
            return found
    raise AssertionError(body)


def _joined(left: set[bytes], right: set[bytes], most: int) -> set[bytes]:
    return {a + b for a in left for b in right if len(a) + len(b) <= most}


def random_grammar(random: Random) -> str:
    """A grammar in GBNF of three or four rules that call each other, over `a`, `b` and `c`."""
    names = ["root", "x", "y", "z"][: random.randint(1, 4)]
    return "\n".join(f"{name} ::= {_random_body(random, names, 2)}" for name in names)


def _random_body(random: Random, names: list[str], depth: int) -> str:
    alternatives = []
    for _ in range(random.randint(1, 3)):
        parts = []
        for _ in range(random.randint(1, 3)):
            kind = random.random()
            if kind < 0.45:
                parts.append(random.choice(names))
            elif kind < 0.85 or depth == 0:
                parts.append(random.choice(('"a"', '"b"', '"c"', '"ab"', "[bc]")))
            else:
                sign = random.choice(("", "?", "*", "+", "{2}"))
                parts.append(f"({_random_body(random, names, depth - 1)}){sign}")
        alternatives.append(" ".join(parts))
    return " | ".join(alternatives)
