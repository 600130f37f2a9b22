"""JSON Schema by definition: is a value valid? And random schemas and values to ask about."""

import itertools
import re
from random import Random
from typing import Any
from urllib.parse import unquote

from unmask.decoding.automata.formats import FORMATS

NAMES = ("a", "b", "name", "é")
STRINGS = ("", "a", "ab", "é😀", 'q"\\', "b1", "aaaa", "\n")
NUMBERS = (0, 1, -1, 5, 2.5, -0.5, 10, 99, 7)


def is_valid(value: Any, schema: Any, root: Any = None) -> bool:
    """True if a value matches a schema of the supported keywords, as the specification says."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    return all(_CHECKS[word](value, schema, root) for word in schema if word in _CHECKS)


def is_equal(a: Any, b: Any) -> bool:
    """Equality of JSON, in which 1 is 1.0 and not true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(is_equal(a[name], b[name]) for name in a)
    return bool(a == b)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _has_type(value: Any, schema: Any, root: Any) -> bool:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    is_null = value is None and schema.get("nullable", False)
    return is_null or any(_TYPES[name](value) for name in names)


def _follow(reference: str, root: Any) -> Any:
    for part in reference.split("/")[1:]:
        root = root[unquote(part).replace("~1", "/").replace("~0", "~")]
    return root


def _others_are_valid(value: Any, schema: Any, root: Any) -> bool:
    own = schema.get("properties", {})
    others = schema["additionalProperties"]
    patterns = schema.get("patternProperties", {})
    return not isinstance(value, dict) or all(
        is_valid(value[name], others, root)
        for name in value
        if name not in own and not any(re.search(pattern, name) for pattern in patterns)
    )


def _patterns_are_valid(value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        is_valid(own, part, root)
        for pattern, part in schema["patternProperties"].items()
        for name, own in value.items()
        if re.search(pattern, name)
    )


def _are_distinct(value: Any, schema: Any, root: Any) -> bool:
    pairs = itertools.combinations(value if isinstance(value, list) else (), 2)
    return not schema["uniqueItems"] or not any(is_equal(a, b) for a, b in pairs)


def _items_are_valid(value: Any, schema: Any, root: Any) -> bool:
    if isinstance(schema["items"], list):  # a tuple of draft 7
        more = {"items": schema.get("additionalItems", True)}
        prefix = [*schema.get("prefixItems", []), *schema["items"]]
        return is_valid(value, {**more, "prefixItems": prefix}, root)
    start = len(schema.get("prefixItems", []))
    return not isinstance(value, list) or all(
        is_valid(item, schema["items"], root) for item in value[start:]
    )


def _exceeds(value: Any, schema: Any, root: Any) -> bool:
    bound = schema["exclusiveMinimum"]
    if isinstance(bound, bool):  # of draft 4
        return not bound or not _is_number(value) or value != schema.get("minimum")
    return not _is_number(value) or value > bound


def _is_below(value: Any, schema: Any, root: Any) -> bool:
    bound = schema["exclusiveMaximum"]
    if isinstance(bound, bool):
        return not bound or not _is_number(value) or value != schema.get("maximum")
    return not _is_number(value) or value < bound


def _has_size(value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, dict):
        return True
    return schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 100)


def _has_needed(value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        name not in value or all(other in value for other in needed)
        for name, needed in schema["dependentRequired"].items()
    )


def _is_dependent(value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        name not in value or is_valid(value, own, root)
        for name, own in schema["dependentSchemas"].items()
    )


def _contains(value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, list):
        return True
    count = sum(is_valid(item, schema["contains"], root) for item in value)
    return schema.get("minContains", 1) <= count <= schema.get("maxContains", count)


def _is_branch(value: Any, schema: Any, root: Any) -> bool:
    word = "then" if is_valid(value, schema["if"], root) else "else"
    return is_valid(value, schema.get(word, True), root)


_CHECKS = {
    "minProperties": _has_size,
    "maxProperties": _has_size,
    "dependentRequired": _has_needed,
    "dependentSchemas": _is_dependent,
    "contains": _contains,
    "not": lambda v, s, r: not is_valid(v, s["not"], r),
    "if": _is_branch,
    "type": _has_type,
    "enum": lambda v, s, r: any(is_equal(v, one) for one in s["enum"]),
    "const": lambda v, s, r: is_equal(v, s["const"]),
    "anyOf": lambda v, s, r: any(is_valid(v, one, r) for one in s["anyOf"]),
    "oneOf": lambda v, s, r: sum(is_valid(v, one, r) for one in s["oneOf"]) == 1,
    "allOf": lambda v, s, r: all(is_valid(v, one, r) for one in s["allOf"]),
    "$ref": lambda v, s, r: is_valid(v, _follow(s["$ref"], r), r),
    "properties": lambda v, s, r: (
        not isinstance(v, dict)
        or all(is_valid(v[name], own, r) for name, own in s["properties"].items() if name in v)
    ),
    "required": lambda v, s, r: not isinstance(v, dict) or set(s["required"]) <= v.keys(),
    "additionalProperties": _others_are_valid,
    "patternProperties": _patterns_are_valid,
    "propertyNames": lambda v, s, r: (
        not isinstance(v, dict) or all(is_valid(name, s["propertyNames"], r) for name in v)
    ),
    "uniqueItems": _are_distinct,
    "items": _items_are_valid,
    "prefixItems": lambda v, s, r: (
        not isinstance(v, list)
        or all(is_valid(item, own, r) for item, own in zip(v, s["prefixItems"], strict=False))
    ),
    "minItems": lambda v, s, r: not isinstance(v, list) or len(v) >= s["minItems"],
    "maxItems": lambda v, s, r: not isinstance(v, list) or len(v) <= s["maxItems"],
    "minLength": lambda v, s, r: not isinstance(v, str) or len(v) >= s["minLength"],
    "maxLength": lambda v, s, r: not isinstance(v, str) or len(v) <= s["maxLength"],
    "pattern": lambda v, s, r: (
        not isinstance(v, str) or re.search(s["pattern"], v, re.ASCII) is not None
    ),
    "format": lambda v, s, r: (
        not isinstance(v, str)
        or s["format"] not in FORMATS
        or re.fullmatch(FORMATS[s["format"]], v, re.ASCII) is not None
    ),
    "minimum": lambda v, s, r: not _is_number(v) or v >= s["minimum"],
    "maximum": lambda v, s, r: not _is_number(v) or v <= s["maximum"],
    "exclusiveMinimum": _exceeds,
    "exclusiveMaximum": _is_below,
    "multipleOf": lambda v, s, r: not _is_number(v) or v % s["multipleOf"] == 0,
}


def random_schema(random: Random, depth: int) -> Any:
    """Schema of supported keywords, alone and together; not all have a value."""
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const"]
    if depth:
        kinds += ["object", "array"] * 3 + ["anyOf", "allOf", "oneOf", "types", "any", "ref"]
        kinds += ["not", "if"]
    match kind := random.choice(kinds):
        case "enum":
            return {"enum": [random_value(random, 1) for _ in range(random.randint(1, 4))]}
        case "const":
            return {"const": random_value(random, 2)}
        case "anyOf" | "allOf" | "oneOf":
            parts = [random_schema(random, depth - 1) for _ in range(random.randint(1, 3))]
            base = random.choice([{}, {}, {"type": ["object", "string", "integer"]}])
            return {**base, kind: parts}
        case "not":
            kept = random_schema(random, depth - 1)
            kept = kept if isinstance(kept, dict) else {}
            return {"not": random_schema(random, depth - 1), **kept}
        case "if":
            parts = [random_schema(random, depth - 1) for _ in range(3)]
            words = random.sample(("if", "then", "else"), 3)
            return dict(zip(words, parts, strict=True)) | {"properties": {"a": True, "b": True}}
        case "types":
            return {"type": random.sample(["string", "integer", "null", "boolean", "number"], 2)}
        case "any":
            return random.choice([True, {}, {"description": "anything"}])
        case "ref":
            return {"$ref": "#/$defs/shared"}
    schema: dict[str, Any] = {"type": kind}
    for word, choices in _WORDS.get(kind, {}).items():
        if random.random() < 0.35:
            schema[word] = random.choice(choices)
    if kind == "object" and random.random() < 0.9:
        names = random.sample(NAMES, random.randint(0, 3))
        schema["properties"] = {name: random_schema(random, depth - 1) for name in names}
        if random.random() < 0.7:
            schema["required"] = [name for name in NAMES if random.random() < 0.4]
        if random.random() < 0.5:
            other = random_schema(random, 0)
            schema["additionalProperties"] = random.choice([False, False, True, other])
    if kind == "object" and random.random() < 0.2:
        names = {"pattern": random.choice(("a", "^[ab]$")), "type": "string"}
        schema["propertyNames"] = random.choice([True, {"type": "string"}, names, {"enum": ["a"]}])
    if kind == "object" and random.random() < 0.2:
        patterns = random.sample(("^a", "b$", "^[ab]$", "m"), random.choice((1, 1, 2, 3)))
        schema["patternProperties"] = {p: random_schema(random, depth - 1) for p in patterns}
    if kind == "object" and random.random() < 0.15:
        word = random.choice(("dependentRequired", "dependentSchemas"))
        needed = ["b"] if word == "dependentRequired" else random_schema(random, depth - 1)
        schema[word] = {random.choice(NAMES): needed}
    if kind == "array" and random.random() < 0.15:
        schema["contains"] = random_schema(random, depth - 1)
    if kind == "array":
        if random.random() < 0.8:
            schema["items"] = random_schema(random, depth - 1)
        if random.random() < 0.3:
            count = random.randint(1, 2)
            schema["prefixItems"] = [random_schema(random, depth - 1) for _ in range(count)]
    return schema


_BOUNDS = {
    "minimum": (0, -3, 1.5),
    "maximum": (5, 10, 7.5),
    "exclusiveMinimum": (0, -1.5),
    "exclusiveMaximum": (10, 6.25),
}
_WORDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "string": {
        "minLength": (0, 1, 2),
        "maxLength": (2, 3, 5),
        "pattern": ("a", "^a+$", "^[^a]*$", "b|1", "^.{2}"),
    },
    "integer": {**_BOUNDS, "nullable": (True,)},
    "number": _BOUNDS,
    "array": {
        "minItems": (0, 1, 2),
        "maxItems": (2, 3),
        "uniqueItems": (False, True),
        "minContains": (0, 1, 2),
        "maxContains": (1, 3),
    },
    "object": {"minProperties": (0, 1, 2), "maxProperties": (1, 2, 5)},
}


def random_value(random: Random, depth: int) -> Any:
    kinds = 6 if depth else 4
    match random.randrange(kinds):
        case 0:
            return random.choice(STRINGS)
        case 1:
            return random.choice(NUMBERS)
        case 2:
            return random.choice((True, False))
        case 3:
            return None
        case 4:
            return [random_value(random, depth - 1) for _ in range(random.randint(0, 3))]
        case _:
            names = random.sample(NAMES, random.randint(0, 3))
            return {name: random_value(random, depth - 1) for name in names}
