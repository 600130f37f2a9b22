"""Random schemas that have answers, and others that are broken somewhere."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.support.json_schema import random_schema, random_value

# Keywords that may be added anywhere, with values of any kind.
WORDS = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "format"),
    *(
        "minItems",
        "maxLength",
        "pattern",
        "minimum",
        "multipleOf",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
    ),
    *("not", "if", "patternProperties", "uniqueItems", "nullable", "title", "default", "$defs"),
)
TEXTS = (
    "#",
    "#/$defs/shared",
    "#/properties/a",
    "date",
    "ipv6",
    "[a-",
    "(a|b)+$",
    "object",
    "\ud800",
)


def whole_schema(random: Random, depth: int) -> Any:
    """A schema of supported keywords, and what it refers to."""
    schema = random_schema(random, depth)
    if isinstance(schema, dict):
        schema["$defs"] = {"shared": random_schema(random, 0)}
    return schema


def broken_schemas(seed: int) -> Iterator[Any]:
    """Schemas without end, of which two in three have a keyword or a value that may be wrong."""
    random = Random(seed)
    while True:
        schema = json.loads(json.dumps(whole_schema(random, random.randint(1, 3))))
        for _ in range(random.choice((0, 1, 3))):
            _break(random, schema)
        yield schema


def _break(random: Random, schema: Any) -> None:
    """Change one part of a schema."""
    parts = [part for part in _parts(schema) if part]
    if not parts:
        return
    part = random.choice(parts)
    junk = random.choice((random_value(random, 2), random.choice(TEXTS), random_schema(random, 1)))
    if isinstance(part, list):
        part[random.randrange(len(part))] = junk
    else:
        part[random.choice((random.choice(WORDS), random.choice(list(part))))] = junk


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _parts(inner)
