"""GBNF, llama.cpp's language for grammars: `root ::= "yes" | [0-9]+ root?`."""

import re

from unmask.decoding.automata.characters import ALL, Characters, utf8
from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import (
    Call,
    Expression,
    concatenation,
    literal,
    repetition,
    union,
)
from unmask.decoding.automata.rules import Rules
from unmask.decoding.automata.scanner import Scanner

ROOT = "root"
BLANK = re.compile(r"(?:\s|#[^\n]*)+")
NAME = re.compile(r"[A-Za-z0-9_-]+")
RULE = re.compile(rf"({NAME.pattern})\s*::=")
BEGINNING = re.compile(rf"^[ \t]*{RULE.pattern}", re.MULTILINE)  # of a line with a rule
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
CLASS = re.compile(r"\[(\^?)((?:[^\]\\]|\\.)*)\]", re.DOTALL)
CHARACTER = re.compile(
    r"\\x(?P<x>[0-9A-Fa-f]{2})|\\u(?P<u>[0-9A-Fa-f]{4})|\\U(?P<U>[0-9A-Fa-f]{8})"
    r"|\\(?P<escape>.)|(?P<plain>[^\\])",
    re.DOTALL,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "[": "[", "]": "]", "-": "-"}
TIMES = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def is_gbnf(text: str) -> bool:
    """True if a line begins with a rule; in other languages `::=` is in texts and comments only."""
    return BEGINNING.search(text) is not None


def read_gbnf(text: str) -> Rules:
    """Rules of a grammar, `root` being the answer's; raises `InvalidGrammar` with the line."""
    scanner, bodies = Scanner(text, BLANK), dict[str, Expression]()
    reader = _Reader(scanner)
    while not scanner.is_done:
        rule = scanner.match(RULE)
        if rule is None:
            raise scanner.error("a rule (name ::= ...) is expected")
        if rule[1] in bodies:
            raise scanner.error(f"the rule {rule[1]!r:.80} is there twice")
        bodies[rule[1]] = reader.alternatives()
    reader.check_names(bodies)
    return Rules(bodies, ROOT)


class _Reader:
    """Reads bodies of rules."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._called = {ROOT: InvalidGrammar(f"there is no rule {ROOT!r}")}

    def check_names(self, bodies: dict[str, Expression]) -> None:
        """Raise `InvalidGrammar` for a rule that is called and not there."""
        for name, error in self._called.items():
            if name not in bodies:
                raise error

    def alternatives(self) -> Expression:
        found = [self._sequence()]
        while self._scanner.take("|"):
            found.append(self._sequence())
        return union(found)

    def _sequence(self) -> Expression:
        parts = []
        while (part := self._item()) is not None:
            parts.append(self._repeated(part))
        return concatenation(*parts)

    def _item(self) -> Expression | None:
        scanner = self._scanner
        if scanner.sees(RULE):
            return None
        if scanner.opens("("):
            inner = self.alternatives()
            scanner.closes(")")
            return inner
        if (text := scanner.match(LITERAL)) is not None:
            codes = [self._code(found) for found in CHARACTER.finditer(text[1])]
            return literal("".join(map(chr, codes)))
        if (found := scanner.match(CLASS)) is not None:
            characters = self._class(found[2])
            return utf8(~characters if found[1] else characters)
        if scanner.take("."):
            return utf8(ALL)
        error = scanner.error("this rule is not there")
        if (name := scanner.match(NAME)) is not None:
            self._called.setdefault(name[0], error)
            return Call(name[0])
        if not scanner.is_done and not scanner.sees(re.compile(r"[|)]")):
            raise scanner.error("a text, a class, a rule or a group is expected")
        return None

    def _class(self, content: str) -> Characters:
        codes = list(CHARACTER.finditer(content))
        ranges, i = list[tuple[int, int]](), 0
        while i < len(codes):
            low = high = self._code(codes[i])
            if i + 2 < len(codes) and codes[i + 1][0] == "-":
                high, i = self._code(codes[i + 2]), i + 2
            if low > high:
                raise self._scanner.error("a range is out of order")
            ranges.append((low, high))
            i += 1
        return Characters.of(ranges)

    def _code(self, found: re.Match[str]) -> int:
        digits = found["x"] or found["u"] or found["U"]
        if digits:
            if int(digits, 16) > 0x10FFFF:
                raise self._scanner.error(f"{found[0]} is no character")
            return int(digits, 16)
        escape = found["escape"]
        if escape is not None and escape not in ESCAPES:
            raise self._scanner.error(f"{found[0]} is no escape")
        return ord(found["plain"] if escape is None else ESCAPES[escape])

    def _repeated(self, part: Expression) -> Expression:
        scanner = self._scanner
        while True:
            sign = scanner.match(re.compile(r"[*+?]"))
            if sign is not None:
                part = repetition(part, *TIMES[sign[0]])
            elif scanner.take("{"):
                part = repetition(part, *self._bounds())
            else:
                return part

    def _bounds(self) -> tuple[int, int | None]:
        scanner = self._scanner
        least = scanner.count()
        if scanner.take(","):
            most = scanner.count()
        elif least is None:
            raise scanner.error("a number of times is expected")
        else:
            most = least
        scanner.need("}")
        if most is not None and most < (least or 0):
            raise scanner.error("a repetition is out of order")
        return least or 0, most
