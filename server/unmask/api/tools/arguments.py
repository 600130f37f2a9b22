"""Arguments of calls that come in pieces: JSON as it is, and other notations read as JSON."""

import json
import re
from dataclasses import dataclass
from typing import Protocol

from unmask.api.tags import begun
from unmask.grammar import GEMMA_QUOTE

STRUCTURE = re.compile(r'["\\{}\[\]]')
SCALAR_END = re.compile(r"[\s,:()\[\]{}]")
CONSTANTS = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, slots=True)
class Read:
    """JSON that was read, the characters that it took, and whether the arguments end with it."""

    json_text: str
    length: int
    is_end: bool


class ArgumentReader(Protocol):
    """Reads the arguments of one call."""

    def read(self, text: str) -> Read:
        """Read as much of a text as can be told; the rest comes again with more."""
        ...


class JsonReader:
    """Finds the end of a JSON object, since strings in it may spell any tag."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_string = False
        self._is_escaped = False  # by a backslash at the end of the last piece

    def read(self, text: str) -> Read:
        """Read a piece as it is, up to the end of the object."""
        end = self._end(text)
        length = len(text) if end is None else end
        return Read(text[:length], length, end is not None)

    def _end(self, text: str) -> int | None:
        """The place behind the object, None if the object goes on after this piece."""
        at = 0
        if text and self._is_escaped:
            at, self._is_escaped = 1, False
        while (found := STRUCTURE.search(text, at)) is not None:
            character, at = found[0], found.end()
            if character == "\\":
                self._is_escaped = at == len(text)
                at += 1
            elif character == '"':
                self._is_string = not self._is_string
            elif not self._is_string:
                self._depth += 1 if character in "{[" else -1
                if self._depth == 0:
                    return at
        return None


class GemmaReader:
    """Reads Gemma's notation: bare names, and strings without escapes between two marks."""

    def __init__(self) -> None:
        self._open: list[str] = []  # brackets
        self._is_string = False
        self._is_name = False  # True where a name of an object may come

    def read(self, text: str) -> Read:
        """Write JSON of a piece; parts of marks and of names are left for the next one."""
        parts, at, is_end = list[str](), 0, False
        while at < len(text) and not is_end:
            length = (
                self._string(text, at, parts) if self._is_string else self._part(text, at, parts)
            )
            at += length
            is_end = not self._open and bool(parts)
            if not length:
                break
        return Read("".join(parts), at, is_end)

    def _string(self, text: str, at: int, parts: list[str]) -> int:
        """Characters of a string from `at` on, up to its end or to what may begin it."""
        end = text.find(GEMMA_QUOTE, at)
        if end >= 0:
            parts.append(_escaped(text[at:end]) + '"')
            self._is_string = False
            return end + len(GEMMA_QUOTE) - at
        rest = text[at:]
        held = begun(GEMMA_QUOTE, rest)
        parts.append(_escaped(rest[: len(rest) - held]))
        return len(rest) - held

    def _part(self, text: str, at: int, parts: list[str]) -> int:
        """A bracket, a comma, a name, a number or the beginning of a string."""
        character = text[at]
        if character == "<":
            if not text.startswith(GEMMA_QUOTE, at):
                return 0
            parts.append('"')
            self._is_string = True
            return len(GEMMA_QUOTE)
        if self._is_name and character != "}":
            return self._name(text, at, parts)
        if character in "{[":
            self._open.append(character)
        elif character in "}]":
            self._open.pop()
        self._is_name = bool(self._open) and self._open[-1] == "{" and character in "{,"
        parts.append(", " if character == "," else character)
        return 1

    def _name(self, text: str, at: int, parts: list[str]) -> int:
        end = text.find(":", at)
        if end < 0:
            return 0
        parts.append(json.dumps(text[at:end], ensure_ascii=False) + ": ")
        self._is_name = False
        return end + 1 - at


class PythonReader:
    """Reads arguments of a Python call between brackets, whose strings are those of JSON."""

    def __init__(self) -> None:
        self._depth = 0  # open brackets
        self._is_string = False
        self._is_name = False  # True where the name of an argument comes

    def read(self, text: str) -> Read:
        """Write JSON of a piece; parts of escapes, names, numbers and constants are left."""
        parts, at, is_end = list[str](), 0, False
        while at < len(text) and not is_end:
            length = self._part(text, at, parts)
            at += length
            is_end = self._depth == 0 and bool(parts)
            if not length:
                break
        return Read("".join(parts), at, is_end)

    def _part(self, text: str, at: int, parts: list[str]) -> int:
        """Characters of the next part from `at` on; 0 if it takes more text to tell it."""
        character = text[at]
        if self._is_string:
            size = 2 if character == "\\" else 1
            if at + size > len(text):
                return 0
            parts.append(text[at : at + size])
            self._is_string = character != '"'
            return size
        if self._is_name and character not in " )":
            end = text.find("=", at)
            if end < 0:
                return 0
            parts.append(json.dumps(text[at:end], ensure_ascii=False) + ": ")
            self._is_name = False
            return end + 1 - at
        if character == '"' or SCALAR_END.match(character):
            self._mark(character, parts)
            return 1
        found = SCALAR_END.search(text, at)
        if found is None:
            return 0
        scalar = text[at : found.start()]
        parts.append(CONSTANTS.get(scalar, scalar))
        return len(scalar)

    def _mark(self, character: str, parts: list[str]) -> None:
        """Brackets, quotes, and what is between values; the call's own brackets are an object."""
        if character in "([{":
            self._depth += 1
        elif character in ")]}":
            self._depth -= 1
        self._is_string = character == '"'
        is_outer = self._depth == 1
        if is_outer and character == " ":
            return
        self._is_name = is_outer and character in "(,"
        parts.append({"(": "{", ")": "}"}.get(character, ", " if self._is_name else character))


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
