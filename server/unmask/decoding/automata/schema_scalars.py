"""Strings and numbers of JSON schemas."""

from decimal import Decimal

from unmask.decoding.automata.characters import ALL, ANY_JSON_STRING, Characters, json_character
from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import (
    Difference,
    Expression,
    Intersection,
    concatenation,
    literal,
    repetition,
    union,
)
from unmask.decoding.automata.formats import FORMATS, NUMBER_FORMATS, SHORT_URI, short_uri
from unmask.decoding.automata.free_text import other_strings
from unmask.decoding.automata.json_numbers import BROKEN, Bounds, decimals, fractions, integers
from unmask.decoding.automata.keywords import LARGEST, Keywords, bounds_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.places import Place
from unmask.decoding.automata.regex import Writer, regex

ANY_CHARACTERS = repetition(json_character(ALL))


def string(schema: Keywords, place: Place, budget: Budget) -> Expression:
    """Strings in JSON that match keywords; with one, escapes have two characters."""
    parts = []
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    form = FORMATS.get(schema.get("format", ""))
    if form == FORMATS["uri"] and most is not None and most >= SHORT_URI[0]:
        form, most = short_uri(min(most, SHORT_URI[-1])), None
    if least or most is not None:
        parts.append(repetition(json_character(ALL), least, most))
    parts += [characters(pattern, place / "pattern") for pattern in schema.get("patterns", ())]
    if form is not None:
        parts.append(regex(form, looks=True, character=json_character))
    patterns, values = schema.get("not patterns", ()), schema.get("not enum", ())
    if not parts and not patterns:
        return other_strings(values, budget) if values else ANY_JSON_STRING
    unwanted = [characters(own, place / "pattern", widens=True) for own in patterns]
    if values:
        unwanted.append(union(map(_content, values)))
    text = parts[0] if parts else ANY_CHARACTERS
    for part in parts[1:]:
        text = Intersection(text, part)
    for part in unwanted:
        text = Difference(text, part)
    return concatenation(literal('"'), text, literal('"'))


def listed_strings(texts: Expression, schema: Keywords, place: Place) -> Expression:
    """Strings in JSON of a list, without those that some pattern excludes.

    A list says more than a format, and than the part of a pattern that every validator reads alike.
    """
    quote, at = literal('"'), place / "pattern"
    for word, sides in (("patterns", Intersection), ("not patterns", Difference)):
        for pattern in schema.get(word, ()):
            found = concatenation(quote, characters(pattern, at, widens=True), quote)
            texts = sides(texts, found)
    return texts


def characters(
    pattern: str, place: Place, *, widens: bool = False, character: Writer = json_character
) -> Expression:
    """Characters of strings, without quotes, in which a pattern is found: in JSON, or as others.

    What is taken away `widens`, so that no validator finds it in the rest.
    """
    try:
        return regex(pattern, searches=True, looks=True, widens=widens, character=character)
    except InvalidGrammar as error:
        raise place.not_supported(error.message) from None


def _content(value: str) -> Expression:
    """One string without quotes, however it is escaped by two characters."""
    return concatenation(*(json_character(Characters.in_text(character)) for character in value))


def number(kind: str, schema: Keywords, place: Place) -> Expression:
    """Numbers that match keywords, or integers by the `kind`."""
    bounds = _that_fit(bounds_of(schema), schema.get("format"))
    step = Decimal(repr(schema.get("multipleOf", 1)))
    divides_one = step % 1 != 0
    try:
        if kind == "integer":
            return integers(bounds, 1 if divides_one else int(step))
        if divides_one:
            text = fractions(bounds, step)
        elif "multipleOf" in schema:
            text = integers(bounds, int(step))
        else:
            text = decimals(bounds)
    except ValueError as error:
        raise (place / "multipleOf").not_supported(str(error)) from None
    return Intersection(text, BROKEN) if "not integer" in schema else text


def _that_fit(bounds: Bounds, form: str | None) -> Bounds:
    """The part of an interval that has few digits, and that numbers of a format reach."""
    low, high = NUMBER_FORMATS.get(form or "") or (None, None)
    if low is None and bounds.low is not None and bounds.low < -LARGEST:
        low = -int(LARGEST)
    if high is None and bounds.high is not None and bounds.high > LARGEST:
        high = int(LARGEST)
    if low is not None:
        bounds = bounds.above(Decimal(low), excludes=False)
    if high is not None:
        bounds = bounds.negated().above(Decimal(-high), excludes=False).negated()
    return bounds
