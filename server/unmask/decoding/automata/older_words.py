"""Words of older drafts, in those that grammars are made of."""

import re
from collections.abc import Mapping
from typing import Any

from unmask.decoding.automata.keywords import COUNTS, is_annotation

EXCLUSIVE = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
# Words that say nothing without another one.
LONE = (("then", "if"), ("else", "if"), ("minContains", "contains"), ("maxContains", "contains"))
OLD_DRAFT = re.compile(r"https?://json-schema\.org/draft-0[3-7]/schema#?")


def is_old_draft(address: Any) -> bool:
    """True for a `$schema` of draft 7 or one before, in which nothing counts beside `$ref`."""
    return isinstance(address, str) and OLD_DRAFT.fullmatch(address) is not None


def modern(schema: Mapping[str, Any], *, is_old: bool) -> dict[str, Any]:
    """Keywords of a checked schema without annotations, in the words of draft 2020-12.

    Draft 4 has exclusive bounds as booleans, and drafts up to 7 have tuples as a list of `items`.
    Those do not know `minContains`, so that arrays contain at least one in a schema that `is_old`.
    `pattern` becomes a list of `patterns`, and `dependencies` become those of names and of schemas.
    """
    own: dict[str, Any] = {
        word: int(value) if word in COUNTS else value
        for word, value in schema.items()
        if not is_annotation(word)
    }
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
    for name, needs in own.pop("dependencies", {}).items():
        word = "dependentRequired" if isinstance(needs, list) else "dependentSchemas"
        own[word] = {**own.get(word, {}), name: needs}
    if "contains" in own:
        own["minContains"] = max(own.get("minContains", 1), int(is_old))
    for word, other in LONE:
        if other not in own:
            own.pop(word, None)
    if "pattern" in own:
        own["patterns"] = [own.pop("pattern")]
    return own
