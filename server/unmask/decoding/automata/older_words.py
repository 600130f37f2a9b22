"""Words of older drafts, and of patterns, in those that grammars are made of."""

from collections.abc import Mapping
from typing import Any

from unmask.decoding.automata.keywords import Place, is_annotation

EXCLUSIVE = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
BESIDE_PATTERNS = ("properties", "required", "propertyNames")


def modern(schema: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Keywords of a checked schema without annotations, in the words of draft 2020-12.

    Draft 4 has exclusive bounds as booleans, and drafts up to 7 have tuples as a list of `items`.
    `patternProperties` become names and values of all properties, which leaves out objects with
    others; the word stays, as a mark that this schema allows more.
    """
    own = {word: value for word, value in schema.items() if not is_annotation(word)}
    for exclusive, bound in EXCLUSIVE:
        if isinstance(own.get(exclusive), bool):
            is_exclusive = own.pop(exclusive)
            if is_exclusive and bound in own:
                own[exclusive] = own.pop(bound)
    others = own.pop("additionalItems", None)
    if isinstance(own.get("items"), list):
        own["prefixItems"] = [*own.get("prefixItems", ()), *own.pop("items")]
        if others is not None:
            own["items"] = others
        if not own["prefixItems"]:
            del own["prefixItems"]
    if own.get("patternProperties"):
        _read_pattern(own, place)
    else:
        own.pop("patternProperties", None)
    return own


def _read_pattern(own: dict[str, Any], place: Place) -> None:
    at = place / "patternProperties"
    if len(own["patternProperties"]) > 1:
        raise at.not_supported("several patterns are not supported")
    for word in BESIDE_PATTERNS:
        if word in own:
            raise at.not_supported(f"{word} beside patternProperties is not supported")
    ((pattern, value),) = own["patternProperties"].items()
    own["propertyNames"] = {"type": "string", "pattern": pattern}
    own["additionalProperties"] = value
