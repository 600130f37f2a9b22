"""JSON Schemas of objects whose keys the request names."""

import re
from collections.abc import Callable

from training.tasks.json.fields import PYTHON_TYPES, Field, Fields, class_text, typed_keys
from training.tasks.json.sample import EXAMPLE_VALUES
from training.tasks.json.values import FLAG_KEYS, TEXT_KEYS, WHOLE_KEYS, named_keys, shown
from training.tasks.problem import PRIMITIVE, Problem, as_json, ask
from training.wordings import Draw

SCHEMAS_OF_KEYS = (
    "~[Write|Make|Create|Generate|Give me|Build] [a|the] JSON [schema|Schema] [with|for|having] "
    "[the keys |the fields |the properties |]{keys}[.|]",
    "[JSON schema|A JSON schema|JSON Schema|Schema in JSON] [for|with|of] {keys}",
    "~[Write|Make|Create|Give me] [a|the] schema for JSON [with|that has] {keys}[.|]",
    "[I need|I want|gimme] a JSON schema [with|for] {keys}",
    "[What is|What's|Show me] the JSON schema [for|of] [an object with |]{keys}",
    "{keys}\n[JSON schema|Write the JSON schema|As a JSON schema]",
    "[How do I write|How would you write] a JSON schema [for|with] {keys}?",
    "What does a JSON schema [for|with] {keys} look like?",
    "~Describe an object with {keys} [as|in|by] a JSON schema.",
    "[Fields|Keys|Properties]: {keys}\n[JSON schema|Schema]:",
    "~[Define|Design] a JSON schema [with|for] [the properties |]{keys}",
    "An object has {keys}. [Write|Give me] its JSON schema.",
    "{keys} as [a JSON schema|JSON Schema]",
)
SCHEMAS_OF_OBJECTS = (
    "~[Write|Make|Create|Generate|Give me] [a|the] JSON schema [for|of] {json}",
    "[JSON schema|A JSON schema|JSON Schema|Schema] [for|of] {json}",
    "{json}\n[JSON schema|Write the JSON schema|Schema]",
    "{json} [What is|Write|Give me] the JSON schema[ of this|].",
    "[What is|What's|Show me] the JSON schema [for|of] {json}?",
    "~Describe [this object|this JSON|this] [as|by|with] a JSON schema: {json}",
    "~Infer [a|the] [JSON |]schema [from|of] {json}",
    "Which JSON schema [fits|describes|matches] {json}?",
    "[JSON|Object|Input]: {json}\nJSON schema:",
    "[I need|I want] a JSON schema [for|that fits] {json}",
    "~Derive the JSON schema of this: {json}",
    "~Turn {json} into a JSON schema.",
)
SCHEMAS_OF_CLASSES = (
    "~[Convert|Turn] this [class|type|model] [to|into] [a JSON schema|JSON Schema]:\n{code}",
    "{code}\n[JSON schema|Write the JSON schema|As a JSON schema]",
    "[JSON schema|JSON Schema] [for|of] this [class|type|model]:\n{code}",
    "~[Write|Make|Give me|Generate] the JSON schema [for|of] this:\n{code}",
    "[What is|What's|Show me] the JSON schema of\n{code}",
    "[Class|Type|Model]:\n{code}\nJSON schema:",
    "~Describe this [class|type] by a JSON schema:\n{code}",
    "{code}\n[What is its JSON schema|Give me its JSON schema]?",
    "[I need|I want] the JSON schema of this [class|type]:\n{code}",
    "~Derive a JSON schema from\n{code}",
)

LOOSE_TYPE = re.compile(r"(?<!whole )\bnumber\b")


def _fields(draw: Draw) -> list[Field]:
    fields: dict[str, Field] = {}
    count = draw.pick([1, 2, 2, 2, 3])
    while len(fields) < count:
        kind = draw.rng.random()
        if kind < 0.5:
            known = [key for key, value in EXAMPLE_VALUES.items() if not isinstance(value, list)]
            key = draw.pick(["name", "age", "name", "age", *known])
            value = EXAMPLE_VALUES[key]
            fields[key] = Field(key, value)
        elif kind < 0.75:
            key = draw.slot(TEXT_KEYS)
            fields[key] = Field(key, draw.word())
        elif kind < 0.9:
            key = draw.slot(WHOLE_KEYS)
            fields[key] = Field(key, draw.rng.randint(1, 99))
        else:
            key = draw.slot(FLAG_KEYS)
            fields[key] = Field(key, draw.chance(0.5))
        fields.pop("number", None)
    return list(fields.values())


def _exact(draw: Draw, write: Callable[[Draw, Fields], str], fields: Fields) -> str:
    """The fields with their exact types: a whole number is not called a number."""
    while True:
        text = write(draw, fields).strip()
        if LOOSE_TYPE.search(text) is None and not text.startswith("- "):
            return text


def describe_json(draw: Draw) -> Problem:
    """Write the JSON Schema of an object, of a class or of keys with or without their types."""
    fields = _fields(draw)
    properties = {field.name: {"type": field.kind} for field in fields}
    answer = as_json({"type": "object", "properties": properties})
    form = draw.rng.random()
    if form < 0.3:
        request = draw.say(SCHEMAS_OF_KEYS, keys=_exact(draw, typed_keys, fields))
    elif form < 0.5 and all(field.name in EXAMPLE_VALUES for field in fields):
        request = draw.say(SCHEMAS_OF_KEYS, keys=named_keys(draw, list(properties)))
    elif form < 0.85 or any(field.kind not in PYTHON_TYPES for field in fields):
        values = {field.name: field.value for field in fields}
        request = draw.say(SCHEMAS_OF_OBJECTS, json=shown(draw, values))
    else:
        request = draw.say(SCHEMAS_OF_CLASSES, code=_exact(draw, class_text, fields))
    names = ",".join(f"{field.name}:{field.kind}" for field in fields)
    key = f"json_describe:{names}"
    if len(fields) == 1:
        key = f"{PRIMITIVE}:{key}"
    return Problem("json_describe", (key,), ask(request), answer, "json")
