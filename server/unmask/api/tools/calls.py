"""Splits calls from the text before them, in an answer that comes in pieces."""

import enum
import re
import uuid
from dataclasses import dataclass

from unmask.api.tools.arguments import GEMMA_QUOTE as GEMMA_QUOTE
from unmask.api.tools.arguments import ArgumentReader, GemmaReader, JsonReader
from unmask.api.tools.formats import CallFormat

BEGINNING = re.compile(r'\{"name": "([^"]*)", "arguments": ')
GEMMA_BEGINNING = "call:"
GEMMA_CALL = re.compile(r"call:([^{]*)(?=\{)")


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
        self._form = form
        self._follows_text = follows_text
        self._place = _Place.TEXT if follows_text else _Place.START
        self._held = ""
        self._arguments = self._reader()
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
                begin = beginning_of(self._form)
                at = self._held.find(begin)
                if at < 0:
                    self._held = self._held[1 - len(begin) :] if len(begin) > 1 else ""
                    return False
                self._held = self._held[at:]
                self._place = _Place.BEGINNING
            case _Place.BEGINNING:
                pattern = GEMMA_CALL if self._form.kind == "gemma" else BEGINNING
                found = pattern.match(self._held)
                if found is None:
                    return False
                call_id = f"call_{uuid.uuid4().hex[:24]}"
                pieces.append(CallPiece(self._num_calls, "", call_id, found[1]))
                self._num_calls += 1
                self._held = self._held[found.end() :]
                self._place, self._arguments = _Place.ARGUMENTS, self._reader()
            case _:
                read = self._arguments.read(self._held)
                if read.json_text:
                    pieces.append(CallPiece(self._num_calls - 1, read.json_text))
                self._held = self._held[read.length :]
                if not read.is_end:
                    return False
                self._place = _Place.BETWEEN
        return True

    def _reader(self) -> ArgumentReader:
        return GemmaReader() if self._form.kind == "gemma" else JsonReader()


def beginning_of(form: CallFormat) -> str:
    """Text by which a call is found behind its tag."""
    return GEMMA_BEGINNING if form.kind == "gemma" else "{"
