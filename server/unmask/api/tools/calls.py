"""Splits calls from the text before them, in an answer that comes in pieces."""

import enum
import re
import uuid
from dataclasses import dataclass

BEGINNING = re.compile(r'\{"name": "([^"]*)", "arguments": ')
STRUCTURE = re.compile(r'["\\{}\[\]]')


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of the arguments of a call; the first piece of each has its id and name alone."""

    index: int
    arguments: str
    call_id: str | None = None
    name: str | None = None


class _Place(enum.Enum):
    START = enum.auto()  # a part of the tag, where no text may come before it
    TEXT = enum.auto()  # before any call, or without calls
    BETWEEN = enum.auto()  # tags, brackets and commas around calls
    BEGINNING = enum.auto()  # a call up to its arguments
    ARGUMENTS = enum.auto()


class CallSplitter:
    """Splits one answer whose calls are in JSON behind an opening tag.

    The parts do not depend on where pieces end. White space before the tag belongs to neither part.
    Ends of arguments are told by their brackets, since strings in them may spell any tag.
    """

    def __init__(self, opening: str, *, follows_text: bool = True) -> None:
        """An answer whose calls do not follow text has nothing else, if it begins with the tag."""
        self._opening = opening
        self._follows_text = follows_text
        self._place = _Place.TEXT if follows_text else _Place.START
        self._held = ""
        self._object = _ObjectEnd()
        self._num_calls = 0

    @property
    def has_whole_calls(self) -> bool:
        """True if there are calls, none of which is cut."""
        is_cut = self._place in (_Place.BEGINNING, _Place.ARGUMENTS)
        return self._num_calls > 0 and not is_cut

    def push(self, text: str, *, last: bool) -> tuple[str, list[CallPiece]]:
        """Fresh text and fresh pieces of calls; after the `last` piece no text is held back."""
        self._held += text
        if self._place is _Place.START:
            self._start(last)
        content = self._take_text(last) if self._place is _Place.TEXT else ""
        pieces: list[CallPiece] = []
        while self._place not in (_Place.START, _Place.TEXT) and self._advance(pieces):
            pass
        return content, pieces

    def _start(self, last: bool) -> None:
        """Tell from the first characters whether the answer has calls."""
        if self._held.startswith(self._opening):
            self._place = _Place.BETWEEN
        elif last or not self._opening.startswith(self._held):
            self._place = _Place.TEXT

    def _take_text(self, last: bool) -> str:
        if not self._follows_text:
            text, self._held = self._held, ""
            return text
        text, tag, rest = self._held.partition(self._opening)
        if tag:
            self._place, self._held = _Place.BETWEEN, rest
            return text.rstrip()
        if last:
            self._held = ""
            return text
        # The tag may begin at the end, and white space before it is cut.
        sizes = range(len(self._opening) - 1, -1, -1)
        size = next(n for n in sizes if text.endswith(self._opening[:n]))
        ready = text[: len(text) - size].rstrip()
        self._held = text[len(ready) :]
        return ready

    def _advance(self, pieces: list[CallPiece]) -> bool:
        """Read on to the next place; False if that takes more text."""
        match self._place:
            case _Place.BETWEEN:
                at = self._held.find("{")
                self._held = "" if at < 0 else self._held[at:]
                if at < 0:
                    return False
                self._place = _Place.BEGINNING
            case _Place.BEGINNING:
                found = BEGINNING.match(self._held)
                if found is None:
                    return False
                call_id = f"call_{uuid.uuid4().hex[:24]}"
                pieces.append(CallPiece(self._num_calls, "", call_id, found[1]))
                self._num_calls += 1
                self._held = self._held[found.end() :]
                self._place, self._object = _Place.ARGUMENTS, _ObjectEnd()
            case _:
                end = self._object.find(self._held)
                arguments = self._held[:end]
                if arguments:
                    pieces.append(CallPiece(self._num_calls - 1, arguments))
                self._held = self._held[len(arguments) :]
                if end is None:
                    return False
                self._place = _Place.BETWEEN
        return True


class _ObjectEnd:
    """Finds the end of a JSON object that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_string = False
        self._is_escaped = False  # by a backslash at the end of the last piece

    def find(self, text: str) -> int | None:
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
