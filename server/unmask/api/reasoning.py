"""Splits thoughts between `<think>` tags from the answer after them, and lets them be thought."""

import enum
from collections.abc import Callable

from unmask.grammar import Chain, Grammar, Regex, Repeated, Text

OPEN, CLOSE = "<think>", "</think>"
AFTER = Regex(r"\n{0,2}")  # after thoughts


class Thoughts(enum.Enum):
    """Thoughts of an answer, from its first token on."""

    NONE = enum.auto()
    POSSIBLE = enum.auto()  # the answer may begin with the opening tag
    BEGUN = enum.auto()  # the prompt has begun them


class _Place(enum.Enum):
    BEGINNING = enum.auto()  # white space so far, or a part of the opening tag
    REASONING = enum.auto()
    CONTENT = enum.auto()


class ReasoningSplitter:
    """Splits one answer that comes in pieces; the parts do not depend on where pieces end.

    An answer has thoughts if it begins with the opening tag, or if the prompt ends with it, as many
    chat templates write it themselves. White space around tags belongs to neither part. Thoughts
    without an end are thoughts to the last.
    """

    def __init__(self, *, begins_inside: bool = False) -> None:
        self._place = _Place.REASONING if begins_inside else _Place.BEGINNING
        self._held = ""
        self._trims = begins_inside  # white space at the beginning of the part

    def push(self, text: str, *, last: bool) -> tuple[str, str]:
        """Fresh reasoning and fresh content; after the `last` piece nothing is held back."""
        self._held += text
        if self._place is _Place.BEGINNING:
            self._begin(last)
        reasoning = self._take_reasoning(last) if self._place is _Place.REASONING else ""
        content = self._take_content() if self._place is _Place.CONTENT else ""
        return reasoning, content

    def _begin(self, last: bool) -> None:
        """Tell from the first characters whether the answer has thoughts."""
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self._held = start.removeprefix(OPEN)
            self._place, self._trims = _Place.REASONING, True
        elif last or not OPEN.startswith(start):
            self._place = _Place.CONTENT

    def _take_reasoning(self, last: bool) -> str:
        if self._trims:
            self._held = self._held.lstrip()
            self._trims = not self._held
        reasoning, tag, rest = self._held.partition(CLOSE)
        if tag:
            self._place, self._trims, self._held = _Place.CONTENT, True, rest
            return reasoning.rstrip()
        if last:
            self._held = ""
            return reasoning.rstrip()
        # The tag may begin at the end, and white space before it is cut.
        size = next(n for n in range(len(CLOSE) - 1, -1, -1) if reasoning.endswith(CLOSE[:n]))
        ready = reasoning[: len(reasoning) - size].rstrip()
        self._held = reasoning[len(ready) :]
        return ready

    def _take_content(self) -> str:
        content, self._held = self._held, ""
        if self._trims:
            content = content.lstrip()
            self._trims = not content
        return content


class KeptThoughts:
    """Tells thoughts that stay in the content from the answer behind them, for its own splitting.

    Nothing is cut: line breaks behind the closing tag belong to the thoughts.
    """

    def __init__(self) -> None:
        self._tail = ""  # characters in which the tag may have begun
        self._has_tag = False
        self._is_behind = False

    def push(self, text: str) -> tuple[str, str]:
        """Fresh thoughts with their tag, and the fresh answer behind them."""
        if self._is_behind:
            return "", text
        end = 0
        if not self._has_tag:
            seen = self._tail + text
            _, tag, rest = seen.partition(CLOSE)
            if not tag:
                self._tail = seen[1 - len(CLOSE) :]
                return text, ""
            self._has_tag, end = True, len(text) - len(rest)
        answer = text[end:].lstrip("\n")
        self._is_behind = bool(answer)
        return text[: len(text) - len(answer)], answer


def thoughts_after(end_of_prompt: str, template: str | None) -> Thoughts:
    """Thoughts of an answer to a prompt with this end, by the model's chat template."""
    end = end_of_prompt.rstrip()
    if end.endswith(OPEN):
        return Thoughts.BEGUN
    knows_tags = template is not None and OPEN in template
    return Thoughts.POSSIBLE if knows_tags and not end.endswith(CLOSE) else Thoughts.NONE


def is_inside(text: str) -> bool:
    """True if an answer that begins with `text` goes on with thoughts."""
    start = text.lstrip()
    return start.startswith(OPEN) and CLOSE not in start


def with_thoughts(
    grammar: Grammar, thoughts: Thoughts, tag: Callable[[str], Grammar], without: tuple[str, ...]
) -> Grammar:
    """The grammar of an answer, behind its thoughts, in which some more tags are not spelled."""
    if thoughts is Thoughts.NONE:
        return grammar
    rest = (Text((CLOSE, *without)), tag(CLOSE), AFTER)
    if thoughts is Thoughts.BEGUN:
        return Chain((*rest, grammar))
    return Chain((Repeated(Chain((tag(OPEN), *rest)), 0, 1), grammar))
