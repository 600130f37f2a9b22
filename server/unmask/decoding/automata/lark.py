"""Lark's language for grammars: rules in small letters, terminals in capitals.

    start: "yes" | number
    number: INT ("," INT)*
    %import common.INT
    %ignore " "

Ignored texts stand between terminals: at most a space, or a new line with its indentation.
"""

import ast
import re
from collections.abc import Iterator

from unmask.decoding.automata.characters import Characters, utf8
from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import (
    EMPTY,
    Call,
    Expression,
    Intersection,
    concatenation,
    literal,
    optional,
    repetition,
    union,
)
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.rules import Rules
from unmask.decoding.automata.scanner import Scanner

START = "start"
GAP = "%ignore"  # the rule of what may stand before a terminal
BLANK = re.compile(r"(?:\s|//[^\n]*|#[^\n]*)+")
RULE = re.compile(r"[!?]*(?P<name>_?[A-Za-z][A-Za-z0-9_]*)\s*(?:\.-?[0-9]+)?\s*:")
NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")
STRING = re.compile(r'("(?:[^"\\\n]|\\.)*")(i?)')
REGEX = re.compile(r"/((?!/)(?:\\.|[^/\\\n])+)/([a-z]*)")
COMMAND = re.compile(r"%([a-z]+)")
IMPORT = re.compile(r"(?P<file>\.?[a-z_.]+?)(?:\.(?P<name>[A-Za-z_]+))?(?=[\s(]|$)")
ALIAS = re.compile(r"->\s*[A-Za-z_]\w*")
TIMES = re.compile(r"[*+?]")
END_OF_SEQUENCE = re.compile(r"[|)\]%]")
# One space, or a new line and a short indentation.
SHORT_BLANK = regex(r" |\n {0,8}")
# Terminals of Lark's library, as expressions.
_INT, _EXPONENT = "[0-9]+", "[eE][+-]?[0-9]+"
_DECIMAL = rf"(?:{_INT}\.[0-9]*|\.{_INT})"
_FLOAT = rf"(?:{_INT}{_EXPONENT}|{_DECIMAL}(?:{_EXPONENT})?)"
COMMON = {
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[0-9A-Fa-f]",
    "INT": _INT,
    "SIGNED_INT": f"[+-]?{_INT}",
    "DECIMAL": _DECIMAL,
    "FLOAT": _FLOAT,
    "SIGNED_FLOAT": f"[+-]?{_FLOAT}",
    "NUMBER": f"(?:{_FLOAT}|{_INT})",
    "SIGNED_NUMBER": f"[+-]?(?:{_FLOAT}|{_INT})",
    "ESCAPED_STRING": r'"(?:[^"\\\n\r]|\\.)*"',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[A-Za-z]",
    "WORD": "[A-Za-z]+",
    "CNAME": "[A-Za-z_][A-Za-z_0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
    "SH_COMMENT": r"#[^\n]*",
    "CPP_COMMENT": r"//[^\n]*",
    "C_COMMENT": r"/\*(?:[^*]|\*+[^*/])*\*+/",
    "SQL_COMMENT": r"--[^\n]*",
}


def read_lark(text: str) -> Rules:
    """Rules of a grammar, `start` being the answer's; raises `InvalidGrammar` with the line."""
    reader = _Reader(Scanner(text, BLANK))
    return Rules(reader.bodies(), START)


class _Reader:
    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._bodies: dict[str, Expression] = {}
        self._ignored: list[Expression] = []
        self._called = {START: InvalidGrammar(f"there is no rule {START!r}")}
        self._in_terminal = False

    def bodies(self) -> dict[str, Expression]:
        scanner = self._scanner
        while not scanner.is_done:
            if (rule := scanner.match(RULE)) is not None:
                self._in_terminal = rule["name"].isupper()
                self._add(rule["name"], self._alternatives())
            elif (command := scanner.match(COMMAND)) is not None:
                self._command(command[1])
            else:
                raise scanner.error("a rule (name: ...) or a command is expected")
        self._bodies[GAP] = EMPTY
        if self._ignored:
            ignored = repetition(union(self._ignored), 1)
            self._bodies[GAP] = optional(Call(f"{GAP} one"))
            self._bodies[f"{GAP} one"] = Intersection(ignored, SHORT_BLANK)
        for name, error in self._called.items():
            if name not in self._bodies:
                raise error
        return self._bodies

    def _add(self, name: str, body: Expression) -> None:
        if name in self._bodies:
            raise self._scanner.error(f"{name!r:.80} is there twice")
        self._bodies[name] = body

    def _command(self, command: str) -> None:
        scanner = self._scanner
        match command:
            case "ignore":
                self._in_terminal = True
                self._ignored.append(self._alternatives())
            case "import":
                for name, alias in self._imports():
                    if name not in COMMON:
                        raise scanner.error(f"common has no {name!r:.80}")
                    if self._bodies.get(alias) is None:
                        self._bodies[alias] = regex(COMMON[name])
            case _:
                raise scanner.error(f"%{command:.20} is not supported")

    def _imports(self) -> Iterator[tuple[str, str]]:
        """Names in the library, and here."""
        scanner = self._scanner
        source = scanner.match(IMPORT)
        if source is None or source["file"] != "common":
            raise scanner.error("only common is imported from")
        if source["name"] is not None:
            alias = source["name"]
            if scanner.take("->"):
                alias = self._name()
            yield source["name"], alias
            return
        scanner.need("(")
        while not scanner.take(")"):
            name = self._name()
            yield name, name
            scanner.take(",")

    def _name(self) -> str:
        found = self._scanner.match(NAME)
        if found is None:
            raise self._scanner.error("a name is expected")
        return found[0]

    def _alternatives(self) -> Expression:
        found = [self._sequence()]
        while self._scanner.take("|"):
            found.append(self._sequence())
        return union(found)

    def _sequence(self) -> Expression:
        parts = []
        while (part := self._item()) is not None:
            parts.append(self._repeated(part))
        self._scanner.match(ALIAS)
        return concatenation(*parts)

    def _item(self) -> Expression | None:
        scanner = self._scanner
        if scanner.sees(RULE):
            return None
        if scanner.opens("("):
            inner = self._alternatives()
            scanner.closes(")")
            return inner
        if scanner.opens("["):
            inner = self._alternatives()
            scanner.closes("]")
            return optional(inner)
        if (text := scanner.match(STRING)) is not None:
            return self._terminal(self._string(text))
        if (pattern := scanner.match(REGEX)) is not None:
            if pattern[2].strip("u"):
                raise scanner.error(f"flags of expressions ({pattern[2]:.9}) are not supported")
            return self._terminal(regex(pattern[1].replace("\\/", "/")))
        error = scanner.error("this rule is not there")
        if (name := scanner.match(NAME)) is not None:
            self._called.setdefault(name[0], error)
            called = Call(name[0])
            return self._terminal(called) if name[0].isupper() else called
        ends = scanner.is_done or scanner.sees(END_OF_SEQUENCE) or scanner.sees(ALIAS)
        if not ends:
            raise scanner.error("a text, an expression, a name or a group is expected")
        return None

    def _terminal(self, terminal: Expression) -> Expression:
        """A terminal of a rule, with what is ignored before it."""
        return terminal if self._in_terminal else concatenation(Call(GAP), terminal)

    def _string(self, found: re.Match[str]) -> Expression:
        scanner, text = self._scanner, self._text(found[1])
        if scanner.take(".."):
            last = scanner.match(STRING)
            high = "" if last is None else self._text(last[1])
            if len(text) != 1 or len(high) != 1 or text > high:
                raise scanner.error("a range is from one character to a later one")
            return utf8(Characters.of(((ord(text), ord(high)),)))
        if not found[2]:
            return literal(text)
        cases = (union(map(literal, sorted({c, c.lower(), c.upper()}))) for c in text)
        return concatenation(*cases)

    def _text(self, quoted: str) -> str:
        try:
            return str(ast.literal_eval(quoted))
        except (SyntaxError, ValueError):
            raise self._scanner.error(f"{quoted:.80} has no meaning") from None

    def _repeated(self, part: Expression) -> Expression:
        scanner = self._scanner
        while True:
            if scanner.sees(RULE):  # a ? may begin one
                return part
            if (sign := scanner.match(TIMES)) is not None:
                times = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign[0]]
                part = repetition(part, *times)
            elif scanner.take("~"):
                least = scanner.count()
                most = scanner.count() if scanner.take("..") else least
                if least is None or most is None or most < least:
                    raise scanner.error("~ needs a number, or a range of them")
                part = repetition(part, least, most)
            else:
                return part
