"""Parts of requests: clauses that are split as templates are, with values filled in."""

import re
from collections.abc import Mapping, Sequence

from training.wordings import IMPERATIVE, Draw, expand

SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b([Aa]) \{(\w+)\}")


def phrase(draw: Draw, templates: Sequence[str], **slots: object) -> str:
    """A clause in the words of one of the templates, without politeness and slips."""
    template = draw.slot(templates)
    draw.said.append(template)
    text = expand(draw.rng, template.removeprefix(IMPERATIVE))
    return filled(draw.otherwise(text, tuple(templates)), slots)


def slots_of(template: str) -> list[str]:
    """Names of the slots of a template, in its order."""
    return list(dict.fromkeys(SLOT.findall(template)))


def filled(template: str, values: Mapping[str, object]) -> str:
    """The template with values for its slots, "a" before a vowel made "an"; others stay."""

    def article(found: "re.Match[str]") -> str:
        value = str(values.get(found[2], "")).lower()
        is_vowel = value.startswith(("a", "e", "i", "o", "u", "8")) or value in ("11", "18")
        return f"{found[1]}{'n' if is_vowel else ''} {{{found[2]}}}"

    text = _ARTICLE.sub(article, template)
    return SLOT.sub(lambda found: str(values.get(found[1], found[0])), text)
