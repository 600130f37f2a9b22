"""Parts of a regular expression, read from the syntax that ECMAScript and Python share.

Characters of a class are of it in every language. Back references, lookbehind, word boundaries,
flags and Unicode properties are refused.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from unmask.decoding.automata.characters import ALL, Characters
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.regex_classes import NAMES, class_of

MAX_DEPTH = 60  # of groups
MAX_LOOKS, MAX_LOOKING = 8, 2_000  # lookaheads, and characters: groups with one are written out
LINE_ENDS = Characters.in_text("\n\r\u2028\u2029")
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
LOW_SURROGATE = re.compile(r"\\u(d[c-f][0-9a-f]{2})", re.ASCII | re.IGNORECASE)
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
UNSUPPORTED = {
    **{"b": "word boundaries", "B": "word boundaries", "p": "Unicode properties"},
    **{"P": "Unicode properties", "k": "back references", "G": "\\G"},
    **dict.fromkeys("123456789", "back references"),
}
MAX_COUNT_DIGITS = 5
LOOKAHEAD = ("?=", "?!")
GROUPS = {
    **dict.fromkeys(LOOKAHEAD, "lookahead"),
    **{"?<=": "lookbehind", "?<!": "lookbehind"},
    **{"?>": "atomic groups", "?P=": "back references", "?(": "conditions", "?#": "comments"},
}


class Anchor(Enum):
    START = "^"
    END = "$"


@dataclass(slots=True)
class Group:
    """Alternatives, each of parts one after the other."""

    alternatives: list[list["Part"]] = field(default_factory=lambda: [[]])


@dataclass(frozen=True, slots=True)
class Look:
    """Alternatives of which one has to follow, or none if it `forbids` them."""

    group: Group
    forbids: bool


Part: TypeAlias = "Characters | Anchor | Group | Look | Repeated"


@dataclass(frozen=True, slots=True)
class Repeated:
    part: "Characters | Group | Repeated"
    least: int
    most: int | None


def read_pattern(pattern: str, *, looks: bool, widens: bool = False) -> Group:
    """Parts of a pattern, which may look ahead; raises `InvalidGrammar` with the place.

    One that `widens` has classes as wide as in any language.
    """
    return _Parser(pattern, looks, widens).parse()


class _Parser:
    def __init__(self, pattern: str, looks: bool, widens: bool) -> None:
        self._pattern = pattern
        self._looks = looks
        self._at = self._num_looks = 0
        # In what is taken away, classes are as wide as in any language, so that the rest is sure.
        self._widens = widens

    def parse(self) -> Group:
        group = self._group(0)
        if self._at < len(self._pattern):
            raise self._error("unbalanced )")
        return group

    def _error(self, message: str, at: int | None = None) -> InvalidGrammar:
        place = self._at if at is None else at
        return InvalidGrammar(message, f"character {place} of {self._pattern!r:.80}")

    def _peek(self, size: int = 1) -> str:
        return self._pattern[self._at : self._at + size]

    def _take(self, size: int = 1) -> str:
        taken = self._peek(size)
        if len(taken) < size:
            raise self._error("the pattern ends too early")
        self._at += size
        return taken

    def _group(self, depth: int) -> Group:
        if depth > MAX_DEPTH:
            raise self._error(f"groups are nested over {MAX_DEPTH} deep")
        group = Group()
        while (next_ := self._peek()) and next_ != ")":
            if next_ == "|":
                self._at += 1
                group.alternatives.append([])
            else:
                group.alternatives[-1].append(self._repeated(depth))
        return group

    def _repeated(self, depth: int) -> Part:
        part = self._atom(depth)
        times = 0
        while (bounds := self._quantifier()) is not None:
            if isinstance(part, Anchor | Look):
                raise self._error("an anchor or a lookahead cannot be repeated")
            if times:
                raise self._error("multiple repeat")
            least, most = bounds
            if most is not None and most < least:
                raise self._error(f"{{{least},{most}}} is out of order")
            part, times = Repeated(part, least, most), 1
            if self._peek() == "+":
                raise self._error("possessive quantifiers are not supported")
            if self._peek() == "?":  # lazy: the same texts
                self._at += 1
        return part

    def _quantifier(self) -> tuple[int, int | None] | None:
        match self._peek():
            case "*" | "+" | "?" as sign:
                self._at += 1
                return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            case "{":
                end = self._pattern.find("}", self._at)
                low, comma, high = self._pattern[self._at + 1 : max(end, 0)].partition(",")
                if end < 0 or not _is_count(low) or not (high == "" or _is_count(high)):
                    if comma and low == "" and _is_count(high):
                        raise self._error("write {0,n}: {,n} differs between languages")
                    return None  # a brace like any other character
                if max(len(low), len(high)) > MAX_COUNT_DIGITS:
                    raise GrammarTooLarge(
                        f"the grammar is too large: a count {{{low}{comma}{high}}}"
                    )
                self._at = end + 1
                return int(low), int(high) if high else None if comma else int(low)
        return None

    def _atom(self, depth: int) -> Part:
        start = self._at
        match self._take():
            case "(":
                return self._in_brackets(start, depth)
            case "[":
                return self._set(start)
            case ".":
                return ~Characters.in_text("\n") if self._widens else ~LINE_ENDS
            case "^":
                return Anchor.START
            case "$":
                return Anchor.END
            case "\\":
                return self._escape()
            case "*" | "+" | "?" as sign:
                raise self._error(f"nothing to repeat before {sign}", start)
            case "{":
                self._at = start
                if self._quantifier() is not None:
                    raise self._error("nothing to repeat", start)
                self._at = start + 1
                return self._one("{")
            case character:
                return self._one(character)

    def _in_brackets(self, start: int, depth: int) -> Group | Look:
        opening = self._peek(2) if self._looks else ""
        forbids, is_wide = opening == "?!", self._widens
        if opening in LOOKAHEAD:
            self._at += 2
            self._widens ^= forbids
            self._num_looks += 1
            if self._num_looks > MAX_LOOKS or len(self._pattern) > MAX_LOOKING:
                raise self._error(
                    f"at most {MAX_LOOKS} lookaheads, in {MAX_LOOKING:,} characters, are supported"
                )
        else:
            self._open_group()
        group = self._group(depth + 1)
        if self._peek() != ")":
            raise self._error("missing )", start)
        self._at += 1
        self._widens = is_wide
        return Look(group, forbids) if opening in LOOKAHEAD else group

    def _one(self, character: str) -> Characters:
        characters = Characters.in_text(character)
        if not characters.ranges:
            raise self._error("a surrogate is no character", self._at - 1)
        return characters

    def _open_group(self) -> None:
        """Read what follows an opening parenthesis; all kinds of capture are alike."""
        if self._peek() != "?":
            return
        for opening, name in sorted(GROUPS.items(), key=lambda group: -len(group[0])):
            if self._peek(len(opening)) == opening:
                raise self._error(f"{name} {'are' if name[-1] == 's' else 'is'} not supported")
        if self._peek(2) == "?:":
            self._at += 2
            return
        for opening in ("?P<", "?<"):
            if self._peek(len(opening)) == opening:
                end = self._pattern.find(">", self._at)
                name = self._pattern[self._at + len(opening) : max(end, 0)]
                if not name.isidentifier():
                    raise self._error("a group has no name")
                self._at = end + 1
                return
        raise self._error("flags are not supported")

    def _escape(self, *, in_set: bool = False) -> Characters | Anchor:
        start = self._at - 1
        name = self._take()
        if name in NAMES:
            return class_of(name, widens=self._widens)
        if name in CONTROLS:
            return Characters.in_text(CONTROLS[name])
        if name == "b" and in_set:
            return Characters.in_text("\b")
        if name in "AZz" and not in_set:
            return Anchor.START if name == "A" else Anchor.END
        if name == "0" and not self._peek().isdigit():
            return Characters.in_text("\0")
        if name in ("x", "u", "U"):
            return self._code(name, start)
        if name in UNSUPPORTED:
            raise self._error(f"{UNSUPPORTED[name]} are not supported", start)
        if name.isascii() and name.isalnum():
            raise self._error(f"unknown escape \\{name}", start)
        return self._one(name)

    def _code(self, name: str, start: int) -> Characters:
        if name == "u" and self._peek() == "{":
            end = self._pattern.find("}", self._at)
            digits = self._pattern[self._at + 1 : max(end, 0)]
            self._at = max(end + 1, self._at)
        else:
            digits = self._take({"x": 2, "u": 4, "U": 8}[name])
        if not HEX_DIGITS.issuperset(digits) or not digits:
            raise self._error(f"\\{name} needs hexadecimal digits", start)
        code = int(digits, 16)
        if 0xD800 <= code < 0xDC00 and (low := LOW_SURROGATE.match(self._pattern, self._at)):
            self._at = low.end()  # a pair, as in ECMAScript
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        characters = Characters.of(((code, code),)) if code <= 0x10FFFF else Characters(())
        if not characters.ranges:
            raise self._error("no character", start)
        return characters

    def _set(self, start: int) -> Characters:
        negates = self._peek() == "^"
        self._at += negates
        self._widens ^= negates
        found, names = Characters(()), set[str]()
        if self._peek() == "]":
            raise self._error("a set begins with ]; write \\]", start)
        while self._peek() != "]":
            if not self._peek():
                raise self._error("missing ]", start)
            names.add(self._peek(2))
            low = self._set_item()
            if self._peek() == "-" and self._peek(2) != "-]":
                self._at += 1
                first, last = _only(low), _only(self._set_item())
                if first is None or last is None or first > last:
                    raise self._error("a range out of order, or of a class", start)
                low = Characters.of(((first, last),))
            found |= low
        self._at += 1
        self._widens ^= negates
        if any({rf"\{name}", rf"\{name.upper()}"} <= names for name in "dsw"):
            found = ALL  # a class and all others, as [\s\S]
        found = ~found if negates else found
        if not found.ranges:
            raise self._error("a set of no characters", start)
        return found

    def _set_item(self) -> Characters:
        character = self._take()
        if character != "\\":
            return self._one(character)
        escaped = self._escape(in_set=True)
        assert isinstance(escaped, Characters)
        return escaped


def _only(characters: Characters) -> int | None:
    """Code of the only character of a set."""
    low, high = characters.ranges[0]
    return low if low == high and len(characters.ranges) == 1 else None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()
