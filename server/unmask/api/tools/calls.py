"""Splits calls from the text before them, in an answer that comes in pieces."""

import enum
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unmask.api.tags import begun
from unmask.api.tools.arguments import ArgumentReader, GemmaReader, JsonReader, PythonReader
from unmask.api.tools.formats import CallFormat

GEMMA_BEGINNING = "call:"


@dataclass(frozen=True, slots=True)
class _Kind:
    """The way to find calls behind a tag and to read their arguments."""

    beginning: re.Pattern[str]
    part: re.Pattern[str]  # of a beginning, at the end of a piece
    name: re.Pattern[str]  # the beginning up to the arguments
    reader: Callable[[], ArgumentReader]


JSON_CALLS = _Kind(
    beginning=re.compile(r"\{"),
    part=re.compile(r"\Z"),
    name=re.compile(r'\{"name": "([^"]*)", "arguments": '),
    reader=JsonReader,
)
KINDS: Mapping[str, _Kind] = {
    "lines": JSON_CALLS,
    "list": JSON_CALLS,
    "gemma": _Kind(
        beginning=re.compile(GEMMA_BEGINNING),
        part=re.compile(r"c(a(ll?)?)?\Z|\Z"),
        name=re.compile(r"call:([^{]*)(?=\{)"),
        reader=GemmaReader,
    ),
    "python": _Kind(
        beginning=re.compile(r"[\w.-]+(?=\()"),
        part=re.compile(r"[\w.-]*\Z"),
        name=re.compile(r"([^(]+)(?=\()"),
        reader=PythonReader,
    ),
}


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
    """Splits one answer whose calls are behind an opening tag; arguments become JSON.

    Arguments do not depend on where pieces end. White space before the tag belongs to neither part.
    Ends of arguments are told by their brackets, since strings in them may spell any tag.
    """

    def __init__(self, form: CallFormat, *, follows_text: bool = True) -> None:
        """An answer whose calls do not follow text has nothing else, if it begins with the tag."""
        self._opening = form.opening
        self._kind = KINDS[form.kind]
        self._follows_text = follows_text
        self._place = _Place.TEXT if follows_text else _Place.START
        self._held = ""
        self._arguments = self._kind.reader()
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
        ready = text[: len(text) - begun(self._opening, text)].rstrip()
        self._held = text[len(ready) :]
        return ready

    def _advance(self, pieces: list[CallPiece]) -> bool:
        """Read on to the next place; False if that takes more text."""
        match self._place:
            case _Place.BETWEEN:
                found = self._kind.beginning.search(self._held)
                if found is None:
                    part = self._kind.part.search(self._held)
                    self._held = "" if part is None else part[0]
                    return False
                self._held = self._held[found.start() :]
                self._place = _Place.BEGINNING
            case _Place.BEGINNING:
                found = self._kind.name.match(self._held)
                if found is None:
                    return False
                call_id = f"call_{uuid.uuid4().hex[:24]}"
                pieces.append(CallPiece(self._num_calls, "", call_id, found[1]))
                self._num_calls += 1
                self._held = self._held[found.end() :]
                self._place, self._arguments = _Place.ARGUMENTS, self._kind.reader()
            case _:
                read = self._arguments.read(self._held)
                if read.json_text:
                    pieces.append(CallPiece(self._num_calls - 1, read.json_text))
                self._held = self._held[read.length :]
                if not read.is_end:
                    return False
                self._place = _Place.BETWEEN
        return True


def beginning_of(form: CallFormat) -> str:
    """Text that every call has, and that text behind calls may not have."""
    return {"gemma": GEMMA_BEGINNING, "python": "("}.get(form.kind, "{")
