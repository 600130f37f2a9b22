"""Splits thoughts between tags from the answer after them, and lets them be thought."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from unmask.api.tags import begun
from unmask.grammar import Chain, Grammar, Literal, Regex, Repeated, Text

AFTER = Regex(r"\n{0,2}")  # after thoughts


@dataclass(frozen=True, slots=True)
class ThoughtTags:
    """Tags around thoughts, and a label behind the first that is no thought."""

    opening: str
    closing: str
    label: str = ""

    @property
    def beginning(self) -> str:
        """Text before thoughts, without white space."""
        return self.opening + self.label


THINK = ThoughtTags("<think>", "</think>")
"""The tags of Qwen, LLaDA2, Nemotron and most others."""
CHANNEL = ThoughtTags("<|channel>", "<channel|>", "thought")
"""The tags of Gemma 4, and so DiffusionGemma."""


def tags_of_template(template: str | None) -> ThoughtTags:
    """Tags of a model by its chat template; those of most models where it has none."""
    return CHANNEL if template is not None and CHANNEL.opening in template else THINK


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

    def __init__(self, tags: ThoughtTags = THINK, *, begins_inside: bool = False) -> None:
        self._tags = tags
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
        beginning = self._tags.beginning
        if start.startswith(beginning):
            self._held = start.removeprefix(beginning)
            self._place, self._trims = _Place.REASONING, True
        elif last or not beginning.startswith(start):
            self._place = _Place.CONTENT

    def _take_reasoning(self, last: bool) -> str:
        if self._trims:
            self._held = self._held.lstrip()
            self._trims = not self._held
        closing = self._tags.closing
        reasoning, tag, rest = self._held.partition(closing)
        if tag:
            self._place, self._trims, self._held = _Place.CONTENT, True, rest
            return reasoning.rstrip()
        if last:
            self._held = ""
            return reasoning.rstrip()
        # The tag may begin at the end, and white space before it is cut.
        ready = reasoning[: len(reasoning) - begun(closing, reasoning)].rstrip()
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

    def __init__(self, tags: ThoughtTags = THINK) -> None:
        self._closing = tags.closing
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
            _, tag, rest = seen.partition(self._closing)
            if not tag:
                self._tail = seen[1 - len(self._closing) :]
                return text, ""
            self._has_tag, end = True, len(text) - len(rest)
        answer = text[end:].lstrip("\n")
        self._is_behind = bool(answer)
        return text[: len(text) - len(answer)], answer


def thoughts_after(end_of_prompt: str, template: str | None) -> Thoughts:
    """Thoughts of an answer to a prompt with this end, by the model's chat template."""
    end, tags = end_of_prompt.rstrip(), tags_of_template(template)
    if end.endswith(tags.beginning):
        return Thoughts.BEGUN
    knows_tags = template is not None and tags.opening in template
    return Thoughts.POSSIBLE if knows_tags and not end.endswith(tags.closing) else Thoughts.NONE


def is_inside(text: str, tags: ThoughtTags) -> bool:
    """True if an answer that begins with `text` goes on with thoughts."""
    return text.lstrip().startswith(tags.beginning) and tags.closing not in text


def with_thoughts(
    grammar: Grammar,
    thoughts: Thoughts,
    tags: ThoughtTags,
    tag: Callable[[str], Grammar],
    without: tuple[str, ...],
) -> Grammar:
    """The grammar of an answer, behind its thoughts, in which some more tags are not spelled."""
    if thoughts is Thoughts.NONE:
        return grammar
    rest = (Text((tags.closing, *without)), tag(tags.closing), AFTER)
    if thoughts is Thoughts.BEGUN:
        return Chain((*rest, grammar))
    label = (Literal(f"{tags.label}\n"),) if tags.label else ()
    return Chain((Repeated(Chain((tag(tags.opening), *label, *rest)), 0, 1), grammar))
